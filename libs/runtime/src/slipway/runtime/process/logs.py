"""Log lines: an event name and fields, as JSON for machines or as text for people, without secrets.

Lines of libraries take the same way. Loggers that write request bodies at low levels are pinned, because
bodies hold credentials.
"""

import logging
import sys
from collections.abc import MutableMapping
from contextlib import AbstractContextManager
from typing import Any

import structlog

from slipway.runtime.process.settings import LogSettings
from slipway.runtime.secrets.redaction import clean, redact

__all__ = ["PINNED", "bind", "configure", "get_logger", "redact"]

PINNED = ("proxmoxer", "urllib3", "httpx", "httpcore", "asyncssh", "sqlalchemy.engine", "uvicorn.access")
"""Never below WARNING, whatever the level: proxmoxer logs request data, which holds passwords, at DEBUG."""


class _Lines(logging.Handler):
    """Writes to whatever stderr is at the moment; configuring again replaces it and leaves others alone."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            sys.stderr.write(self.format(record) + "\n")
            sys.stderr.flush()
        except Exception:  # noqa: BLE001 - logging's own rule: a line that can't be written breaks nothing
            self.handleError(record)


def get_logger(name: str | None = None) -> structlog.stdlib.BoundLogger:
    """Make a logger; its lines carry the call's correlation id and what `bind` added."""
    logger: structlog.stdlib.BoundLogger = structlog.get_logger(name)
    return logger


def bind(**fields: object) -> AbstractContextManager[None]:
    """Add fields to every line written inside the `with` block, also by tasks started there."""
    return structlog.contextvars.bound_contextvars(**fields)


def configure(service: str, settings: LogSettings | None = None) -> None:
    """Send everything the process logs to stderr in one shape."""
    settings = settings or LogSettings()
    level = logging.getLevelNamesMapping()[settings.log_level.upper()]
    before = _processors(service)
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *before,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )
    handler = _Lines()
    handler.setFormatter(_formatter(settings, before))
    root = logging.getLogger()
    root.handlers = [*(old for old in root.handlers if not isinstance(old, _Lines)), handler]
    root.setLevel(level)
    logging.captureWarnings(capture=True)
    for name in PINNED:
        logging.getLogger(name).setLevel(max(level, logging.WARNING))


def _processors(service: str) -> list[structlog.types.Processor]:
    return [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.PositionalArgumentsFormatter(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
        structlog.processors.CallsiteParameterAdder([structlog.processors.CallsiteParameter.MODULE]),
        _named(service),
    ]


def _formatter(
    settings: LogSettings, before: list[structlog.types.Processor]
) -> structlog.stdlib.ProcessorFormatter:
    renderer: structlog.types.Processor = structlog.processors.JSONRenderer(default=str)
    if settings.log_format == "text":
        plain = structlog.dev.plain_traceback
        renderer = structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), exception_formatter=plain)
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=before,
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            structlog.processors.format_exc_info,
            _redacted,
            renderer,
        ],
    )


def _named(service: str) -> structlog.types.Processor:
    def add(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        event.setdefault("service", service)
        return event

    return add


def _redacted(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    cleaned: dict[str, Any] = clean(event)
    return cleaned
