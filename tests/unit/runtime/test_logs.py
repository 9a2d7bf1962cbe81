"""Log lines: one shape, and no secrets in them, whoever writes them."""

import json
import logging
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from pydantic import SecretStr

from slipway.runtime.bus.call import Call, using
from slipway.runtime.process import logs
from slipway.runtime.process.settings import LogSettings
from slipway.runtime.secrets import redaction
from slipway.runtime.secrets.redaction import MASK, clean


def lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in capsys.readouterr().err.splitlines()]


@pytest.fixture(autouse=True)
def _configured(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("inventory", LogSettings(log_level="debug"))


def test_a_line_is_one_json_object_with_the_calls_fields(capsys: pytest.CaptureFixture[str]) -> None:
    """Event, service, correlation id and bound fields stand in every line."""
    with using(Call(actor="user:ann", correlation_id="c-1")), logs.bind(job="j1"):
        logs.get_logger().info("phase finished", phase="create")

    (line,) = lines(capsys)
    assert line | {"timestamp": ""} == {
        "event": "phase finished",
        "level": "info",
        "service": "inventory",
        "correlation_id": "c-1",
        "actor": "user:ann",
        "job": "j1",
        "phase": "create",
        "module": "test_logs",
        "timestamp": "",
    }


def test_lines_of_libraries_take_the_same_shape(capsys: pytest.CaptureFixture[str]) -> None:
    """What asyncio or asyncpg say can be searched like our own."""
    logging.getLogger("asyncpg").warning("slow %s", "query")

    (line,) = lines(capsys)
    assert (line["event"], line["level"], line["service"]) == ("slow query", "warning", "inventory")


@pytest.mark.parametrize(
    "name",
    [
        "password",
        "root_password",
        "api_token",
        "secret",
        "Authorization",
        "private_key",
        "passphrase",
        "nkey",
    ],
)
def test_secrets_are_masked_by_name(capsys: pytest.CaptureFixture[str], name: str) -> None:
    """A field that is named like a secret is one, at any depth."""
    logs.get_logger().info("x", deep={"list": [{name: "hunter2"}]}, **{name: "hunter2"})

    (line,) = lines(capsys)
    assert line[name] == line["deep"]["list"][0][name] == MASK


def test_registered_values_are_masked_anywhere(capsys: pytest.CaptureFixture[str]) -> None:
    """Also in a library's words, in an exception's text and inside longer texts."""
    logs.redact(SecretStr("correct horse battery"))

    logging.getLogger("x").error("login with %s failed", "correct horse battery")
    error = RuntimeError("the password was correct horse battery staple")
    logs.get_logger().error("broke", exc_info=error)

    text = json.dumps(lines(capsys))
    assert "correct horse" not in text
    assert text.count(MASK) == 2


@pytest.mark.parametrize(
    "shape",
    [
        lambda secret: RuntimeError(f"refused: {secret}"),
        lambda secret: Path("/srv") / secret,
        lambda secret: secret.encode(),
        lambda secret: {secret: 1},
        lambda secret: [SimpleNamespace(text=secret)],
    ],
)
def test_registered_values_are_masked_in_whatever_is_logged(
    capsys: pytest.CaptureFixture[str], shape: Callable[[str], object]
) -> None:
    """A field's value need not be text to hold one; what holds none reads as before."""
    logs.redact("correct-horse-battery")

    logs.get_logger().info("x", value=shape("correct-horse-battery"), number=1.5, flag=True, nothing=None)

    text = capsys.readouterr().err
    assert "correct-horse" not in text
    assert MASK in text
    assert json.loads(text) | {"number": 1.5, "flag": True, "nothing": None} == json.loads(text)


def test_a_known_value_costs_nothing_and_the_processs_own_last(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same secrets are opened again and again; of too many, those not used for longest go."""
    monkeypatch.setattr(redaction, "_MOST", 3)
    monkeypatch.setattr(redaction, "_values", {})
    redaction.redact_for_good("database-password")
    for value in ("first-secret", "second-secret", "third-secret"):
        redaction.redact(value)
    clean("x")
    pattern = redaction._pattern

    redaction.redact("first-secret")

    assert redaction._pattern is pattern is not None
    redaction.redact("fourth-secret")
    assert clean("first-secret second-secret") == f"{MASK} second-secret"
    assert clean("fourth-secret database-password") == f"{MASK} {MASK}"


def test_passwords_in_urls_are_masked(capsys: pytest.CaptureFixture[str]) -> None:
    """A URL in an error message shows who, not with what."""
    logs.get_logger().info("x", url="postgresql://ann:hunter2@db/x")

    assert lines(capsys)[0]["url"] == f"postgresql://ann:{MASK}@db/x"


def test_secret_types_are_masked_and_short_values_are_left() -> None:
    """A two-letter secret would hide half of every line."""
    logs.redact("ab")

    assert clean([SecretStr("x"), "abba"]) == [MASK, "abba"]


@pytest.mark.parametrize("name", logs.PINNED)
def test_loggers_that_write_bodies_stay_quiet(capsys: pytest.CaptureFixture[str], name: str) -> None:
    """Proxmoxer logs request data, which holds passwords, at DEBUG; our level does not change that."""
    logging.getLogger(name).info("data: %s", {"password": "hunter2"})
    logging.getLogger(f"{name}.child").debug("data")

    assert logging.getLogger(name).level >= logging.WARNING
    assert lines(capsys) == []


def test_text_is_for_people(capsys: pytest.CaptureFixture[str]) -> None:
    """The other shape is readable, and as discreet."""
    logs.configure("inventory", LogSettings(log_format="text"))

    logs.get_logger().info("phase finished", phase="create", token="hunter2")

    text = capsys.readouterr().err
    assert "phase finished" in text
    assert "phase=create" in text
    assert "hunter2" not in text
