"""The settings of every service, and the report of a wrong value.

A setting comes from `SLIPWAY_<NAME>`, from the file that `SLIPWAY_<NAME>_FILE` names (for container secrets)
or from the TOML file that `SLIPWAY_CONFIG` names, in this order. The file can be one for all: on top stands
what each service has, in a table of its name what one service has or has otherwise. An unknown key is an
error: a misspelt limit must not be silently the default.
"""

import os
import socket
from collections.abc import Iterable, Mapping
from datetime import timedelta
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, Field, SecretStr, ValidationError, ValidationInfo, field_validator
from pydantic.fields import FieldInfo
from pydantic_core import PydanticCustomError
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from slipway.contracts.registry import SERVICES

PREFIX = "SLIPWAY_"
TABLES = (*SERVICES, "topology")
"""The tables that the TOML file may have."""
_OF_CLUSTERS = (
    "this is a setting of each cluster now, and nothing is allowed until it is set there. Take it away here, "
    "start Slipway, and set it once for each cluster: `slipway cluster limits set CLUSTER "
    "--restricted-keys --mount-path /srv/media`, or PUT /api/v1/clusters/{cluster}/limits"
)
RETIRED: Mapping[str, str] = MappingProxyType(
    {"restricted_keys": _OF_CLUSTERS, "bind_mount_paths": _OF_CLUSTERS}
)
"""Settings of earlier builds that are none any more, and what to do instead."""


class SettingsProblem(Exception):
    """A setting can't be used; the message has its name and the reason, never its value."""


def _seconds(value: object) -> object:
    try:
        return timedelta(seconds=float(value)) if isinstance(value, str | int | float) else value
    except (ValueError, OverflowError):
        return value


Duration = Annotated[timedelta, BeforeValidator(_seconds)]
"""A span of time: a number of seconds (`12`, `0.5`) or ISO 8601 (`PT12S`)."""


class FileSettingsSource(PydanticBaseSettingsSource):
    """Reads a setting from the file that `SLIPWAY_<NAME>_FILE` names."""

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        """Read one setting; a trailing newline is not part of it."""
        del field
        variable = f"{PREFIX}{field_name.upper()}_FILE"
        path = os.environ.get(variable)
        if path is None:
            return None, field_name, False
        try:
            return Path(path).read_text(encoding="utf-8").rstrip("\r\n"), field_name, False
        except OSError as error:
            raise SettingsProblem(f"{variable}: can't read {path}: {error.strerror}") from error

    def __call__(self) -> dict[str, Any]:
        """Read all settings that come from files."""
        fields = self.settings_cls.model_fields
        # `nats_nkey_file` is a setting of its own, not the file of a setting `nats_nkey`.
        names = [name for name in fields if f"{name}_file" not in fields]
        values = {name: self.get_field_value(fields[name], name)[0] for name in names}
        return {name: value for name, value in values.items() if value is not None}


class TomlSource(TomlConfigSettingsSource):
    """Reads the top of the TOML file and the table of one service."""

    def __call__(self) -> dict[str, Any]:
        """Read all settings that come from the file."""
        document = super().__call__()
        tables = {name: part for name, part in document.items() if name in TABLES and isinstance(part, dict)}
        top = {name: value for name, value in document.items() if name not in tables}
        values = top | tables.get(getattr(self.settings_cls, "table", ""), {})
        refuse_retired(values)
        return values


class Settings(BaseSettings):
    """Settings that come from the environment, from files and from one TOML file."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, extra="forbid", frozen=True, hide_input_in_errors=True
    )
    table: ClassVar[str] = ""
    """Their table of the TOML file, one of `TABLES`."""

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Order the sources: what code says, the environment, files, the TOML file."""
        del dotenv_settings, file_secret_settings
        sources = [init_settings, env_settings, FileSettingsSource(settings_cls)]
        config = os.environ.get(f"{PREFIX}CONFIG")
        if config is not None:
            if not Path(config).is_file():
                raise SettingsProblem(f"{PREFIX}CONFIG: there is no file {config}")
            try:
                sources.append(TomlSource(settings_cls, toml_file=config))
            except (OSError, ValueError) as error:
                raise SettingsProblem(f"{PREFIX}CONFIG: can't read {config}: {error}") from error
        return tuple(sources)


def _instance() -> str:
    host = "".join(letter if letter.isalnum() else "-" for letter in socket.gethostname().lower())
    return f"{host.strip('-') or 'host'}-{os.getpid()}"


class LogSettings(Settings):
    """The level and the format of the log."""

    model_config = SettingsConfigDict(extra="ignore")

    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """The lowest level that is written."""
    log_format: Literal["json", "text"] = "json"
    """`json` for machines, one object a line; `text` for people."""


class ServiceSettings(LogSettings):
    """The settings of every service; a service adds its own in a subclass."""

    model_config = SettingsConfigDict(extra="forbid")

    @classmethod
    def settings_customise_sources(
        cls, settings_cls: type[BaseSettings], *sources: PydanticBaseSettingsSource, **named: Any
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Refuse what an earlier build took from the environment; then order the sources."""
        variables = ((name, f"{PREFIX}{name.upper()}") for name in RETIRED)
        refuse_retired(name for name, each in variables if {each, f"{each}_FILE"} & os.environ.keys())
        return super().settings_customise_sources(settings_cls, *sources, **named)

    nats_url: str = "nats://127.0.0.1:4222"
    """The address of the bus; several servers of one cluster are separated by commas."""
    nats_nkey_file: Path | None = None
    """The service's own nkey seed; without one the bus must accept everyone (tests only)."""
    sealing_key_file: Path | None = None
    """The service's own X25519 private key, for secrets sealed to it."""
    sealing_public_file: Path | None = None
    """JSON of X25519 public keys by service: the receivers of sealed secrets."""
    http_host: str = "127.0.0.1"
    """The address of health and metrics; in containers `0.0.0.0`."""
    http_port: int = Field(default=0, ge=0, le=65535)
    """The port of health and metrics; 0 takes any free one."""
    request_timeout: Duration = timedelta(seconds=30)
    """How long an HTTP client may take to send the head of a request, and again for its body."""
    metrics_token_file: Path | None = None
    """The bearer token that `/metrics` asks for; without one `/metrics` answers on loopback only."""
    disk: Path | None = None
    """A folder on the disk that the bus and the database store on (`slipway up` says which): while it has
    less than 192 MiB free log lines are left out, with less than 128 MiB no new job is accepted."""
    instance: str = Field(default_factory=_instance)
    """The name of this replica in logs, leases and the bus's list of clients."""
    graceful_timeout: Duration = timedelta(seconds=15)
    """How long running work may go on after SIGTERM; what is left then is handed over at once."""
    ack_wait: Duration = timedelta(seconds=12)
    """How long the bus waits for a sign of life before it gives a message to another worker. The consumers
    have it from `slipway topology apply`; here it only bounds the heartbeat."""
    heartbeat: Duration = timedelta(seconds=4)
    """How often a worker shows a sign of life; three fit into `ack_wait`, so two may be lost."""

    @field_validator("heartbeat")
    @classmethod
    def _three_in_ack_wait(cls, heartbeat: timedelta, info: ValidationInfo) -> timedelta:
        ack_wait = info.data.get("ack_wait")
        if ack_wait is not None and 3 * heartbeat > ack_wait:
            raise PydanticCustomError(
                "heartbeat",
                "three must fit into {prefix}ACK_WAIT ({wait} s): it may be {most} s at most",
                {"prefix": PREFIX, "wait": ack_wait.total_seconds(), "most": ack_wait.total_seconds() / 3},
            )
        return heartbeat

    pull_timeout: Duration = timedelta(seconds=8)
    """How long one request for work waits on the bus; also how long work may lie after a server of a cluster
    was lost that had it, and how long a worker that freezes may still be given its next work."""


class DatabaseSettings(Settings):
    """Where a service's own tables are; mix it into the service's settings."""

    database_url: SecretStr = SecretStr("")
    """`postgresql://role:password@host/database` of the service's own role."""
    database_schema: str = Field(default="", pattern=r"^[a-z_]*$")
    """The schema that holds the service's tables; a service sets its own name as the default."""
    pool_size: int = Field(default=10, ge=1, le=100)
    """How many connections one replica keeps at most."""


def refuse_retired(names: Iterable[str]) -> None:
    """Refuse a setting that is none any more; the message says what to do instead."""
    for name in names:
        if name in RETIRED:
            raise SettingsProblem(f"{PREFIX}{name.upper()}: {RETIRED[name]}.")


def explain(error: ValidationError) -> list[str]:
    """Return one line per wrong setting: its name and the reason, without its value."""
    return [
        f"{PREFIX}{'__'.join(map(str, fault['loc'])).upper()}: {fault['msg']}"
        for fault in error.errors(include_input=False)
    ]
