"""Settings: where they come from, and how a wrong one is reported."""

from datetime import timedelta
from pathlib import Path

import pytest
from pydantic import SecretStr, ValidationError

from slipway.runtime.database.engine import url_of
from slipway.runtime.process.settings import (
    DatabaseSettings,
    LogSettings,
    ServiceSettings,
    SettingsProblem,
    explain,
)


class Both(ServiceSettings, DatabaseSettings):
    """A service with a schema."""

    database_schema: str = "inventory"


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SLIPWAY_CONFIG", raising=False)


def test_defaults_are_for_one_machine() -> None:
    """Nothing has to be set to start on a laptop."""
    settings = Both()

    assert (settings.http_host, settings.database_schema) == ("127.0.0.1", "inventory")
    assert settings.heartbeat * 3 <= settings.ack_wait
    assert settings.instance


@pytest.mark.parametrize(("text", "seconds"), [("3", 3), ("0.5", 0.5), ("PT1M", 60)])
def test_durations_are_seconds_or_iso(monkeypatch: pytest.MonkeyPatch, text: str, seconds: float) -> None:
    """Both ways of writing a span of time are read."""
    monkeypatch.setenv("SLIPWAY_GRACEFUL_TIMEOUT", text)

    assert ServiceSettings().graceful_timeout == timedelta(seconds=seconds)


@pytest.mark.parametrize("text", ["inf", "nan", "1e300", "soon"])
def test_a_duration_that_is_none_is_one_line(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    """Whatever stands there, it is a wrong value and no traceback."""
    monkeypatch.setenv("SLIPWAY_GRACEFUL_TIMEOUT", text)

    with pytest.raises(ValidationError) as caught:
        ServiceSettings()

    (line,) = explain(caught.value)
    assert line.startswith("SLIPWAY_GRACEFUL_TIMEOUT: ")


@pytest.mark.parametrize(("name", "value"), [("HEARTBEAT", "60"), ("ACK_WAIT", "9")])
def test_three_heartbeats_fit_into_the_timeout_of_the_bus(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    """Else the bus gives running work to a second worker."""
    monkeypatch.setenv(f"SLIPWAY_{name}", value)

    with pytest.raises(ValidationError) as caught:
        ServiceSettings()

    (line,) = explain(caught.value)
    assert line.startswith("SLIPWAY_HEARTBEAT: three must fit into SLIPWAY_ACK_WAIT")


def test_any_setting_can_come_from_a_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Container secrets are files; their last newline is not part of the secret."""
    file = tmp_path / "url"
    file.write_text("postgresql://a:b@c/d\n")
    monkeypatch.setenv("SLIPWAY_DATABASE_URL_FILE", str(file))

    assert Both().database_url == SecretStr("postgresql://a:b@c/d")


def test_a_setting_that_is_a_file_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """`NATS_NKEY_FILE` is the setting itself."""
    monkeypatch.setenv("SLIPWAY_NATS_NKEY_FILE", "/nowhere")

    assert ServiceSettings().nats_nkey_file == Path("/nowhere")


def test_an_unreadable_secret_file_names_the_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    """Which variable, which file, why."""
    monkeypatch.setenv("SLIPWAY_DATABASE_URL_FILE", "/nowhere/url")

    with pytest.raises(SettingsProblem, match=r"SLIPWAY_DATABASE_URL_FILE: .* /nowhere/url: No such file"):
        Both()


def test_the_environment_wins_over_the_toml_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """One file for everything, variables for the exception."""
    file = tmp_path / "slipway.toml"
    file.write_text('http_port = 1\nlog_level = "debug"\n')
    monkeypatch.setenv("SLIPWAY_CONFIG", str(file))
    monkeypatch.setenv("SLIPWAY_HTTP_PORT", "2")

    settings = ServiceSettings()

    assert (settings.http_port, settings.log_level) == (2, "debug")
    assert LogSettings().log_level == "debug"


def test_an_unknown_key_in_the_file_is_an_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A misspelt setting is not silently the default."""
    file = tmp_path / "slipway.toml"
    file.write_text("htpp_port = 1\n")
    monkeypatch.setenv("SLIPWAY_CONFIG", str(file))

    with pytest.raises(ValidationError) as caught:
        ServiceSettings()

    assert explain(caught.value) == ["SLIPWAY_HTPP_PORT: Extra inputs are not permitted"]


class OfMonitor(ServiceSettings):
    """A service with a table of its own in the file."""

    table = "monitor"
    limit: int = 1


def test_a_table_of_the_file_is_one_services(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """It wins over the top; those of others are left to them, one that nobody has is refused."""
    file = tmp_path / "slipway.toml"
    file.write_text("http_port = 1\n[monitor]\nhttp_port = 2\nlimit = 3\n[catalog]\nwhatever = 1\n")
    monkeypatch.setenv("SLIPWAY_CONFIG", str(file))

    settings = OfMonitor()

    assert (settings.http_port, settings.limit, ServiceSettings().http_port) == (2, 3, 1)
    file.write_text("[monitr]\nlimit = 3\n")
    with pytest.raises(ValidationError) as caught:
        OfMonitor()
    assert explain(caught.value) == ["SLIPWAY_MONITR: Extra inputs are not permitted"]


def test_a_config_file_that_is_no_toml_is_one_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Which file and where."""
    file = tmp_path / "slipway.toml"
    file.write_text("http_port 1\n")
    monkeypatch.setenv("SLIPWAY_CONFIG", str(file))

    with pytest.raises(SettingsProblem, match=r"SLIPWAY_CONFIG: can't read .*line 1"):
        ServiceSettings()


@pytest.mark.parametrize("url", ["", "hunter2hunter2"])
def test_a_missing_or_wrong_database_url_is_one_line(url: str) -> None:
    """Which variable; never what was in it."""
    with pytest.raises(SettingsProblem, match=r"^SLIPWAY_DATABASE_URL: ") as caught:
        url_of(DatabaseSettings(database_url=SecretStr(url)))

    assert "hunter2" not in str(caught.value)


def test_a_missing_config_file_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that was asked for must be there."""
    monkeypatch.setenv("SLIPWAY_CONFIG", "/nowhere.toml")

    with pytest.raises(SettingsProblem, match=r"SLIPWAY_CONFIG: there is no file /nowhere\.toml"):
        ServiceSettings()


def test_every_wrong_setting_is_one_line_without_its_value(monkeypatch: pytest.MonkeyPatch) -> None:
    """Which variable and why; never what was in it."""
    monkeypatch.setenv("SLIPWAY_HTTP_PORT", "s3cret")
    monkeypatch.setenv("SLIPWAY_POOL_SIZE", "0")

    with pytest.raises(ValidationError) as caught:
        Both()

    lines = explain(caught.value)
    assert sorted(line.partition(":")[0] for line in lines) == ["SLIPWAY_HTTP_PORT", "SLIPWAY_POOL_SIZE"]
    assert "s3cret" not in str(lines) + str(caught.value)


def test_the_databases_url_is_never_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Settings can be logged."""
    monkeypatch.setenv("SLIPWAY_DATABASE_URL", "postgresql://a:hunter2@c/d")

    assert "hunter2" not in repr(Both())


@pytest.mark.parametrize("source", ["SLIPWAY_RESTRICTED_KEYS", "SLIPWAY_BIND_MOUNT_PATHS_FILE", "file"])
def test_a_retired_setting_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, source: str) -> None:
    """What was allowed with it does not silently end: the line says where it is allowed now."""
    if source == "file":
        (tmp_path / "slipway.toml").write_text("restricted_keys = true\n")
        monkeypatch.setenv("SLIPWAY_CONFIG", str(tmp_path / "slipway.toml"))
    else:
        monkeypatch.setenv(source, "true")

    with pytest.raises(SettingsProblem, match=r"slipway cluster limits set CLUSTER --restricted-keys"):
        ServiceSettings()
