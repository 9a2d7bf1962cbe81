"""Keeps secrets out of log lines: by the name of a field, and by value once a secret is known.

The second net is for what libraries say in their own words (an exception with a URL, a command line). It
sees only values that were registered, so it is no licence to log secrets.
"""

import re
import threading
from collections.abc import Mapping
from typing import Any

from pydantic import SecretBytes, SecretStr

MASK = "[redacted]"

_SECRET_NAME = re.compile(
    r"pass(word|wd|phrase)?$|secret|token|credential|private_?key|api_?key|authorization|cookie|nkey|seed$"
    r"|sealed|^key_material$|database_url",
    re.IGNORECASE,
)
_URL_PASSWORD = re.compile(r"(?<=://)([^/\s:@]*):([^/\s@]+)@")
_SHORTEST = 6
_MOST = 10_000

_lock = threading.Lock()
_values: dict[str, None] = {}
_pattern: re.Pattern[str] | None = None


def redact(value: SecretStr | str) -> None:
    """Never let this value into a log line again; very short ones would hide ordinary text and are left."""
    global _pattern  # noqa: PLW0603 - the log processor is one per process, and so are the values it hides
    text = value.get_secret_value() if isinstance(value, SecretStr) else value
    if len(text) < _SHORTEST:
        return
    with _lock:
        _values[text] = None
        if len(_values) > _MOST:
            _values.pop(next(iter(_values)))
        _pattern = None


def clean(value: object) -> Any:
    """Copy a log value with secrets masked."""
    if isinstance(value, SecretStr | SecretBytes):
        return MASK
    if isinstance(value, str):
        return _clean_text(value)
    if isinstance(value, Mapping):
        return {key: _clean_field(str(key), part) for key, part in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [clean(part) for part in value]
    return value


def _clean_field(name: str, value: object) -> Any:
    return MASK if value is not None and _SECRET_NAME.search(name) else clean(value)


def _clean_text(text: str) -> str:
    text = _URL_PASSWORD.sub(rf"\1:{MASK}@", text)
    pattern = _compiled()
    return pattern.sub(MASK, text) if pattern is not None else text


def _compiled() -> re.Pattern[str] | None:
    global _pattern  # noqa: PLW0603 - compiled once per change of the values
    with _lock:
        if _pattern is None and _values:
            longest_first = sorted(_values, key=len, reverse=True)
            _pattern = re.compile("|".join(map(re.escape, longest_first)))
        return _pattern
