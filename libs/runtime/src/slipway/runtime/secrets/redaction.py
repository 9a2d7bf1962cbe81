"""Mask secrets in log lines: by the name of a field, and by value once a secret is registered.

The values protect against texts of libraries (an exception with a URL, a command line). Only registered
values are masked, so this is no licence to log secrets. Everything but numbers is converted to text first:
an exception, a path or a key may contain a secret as well as a string.
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
_SHORTEST_START = 3
_MOST = 10_000

_lock = threading.RLock()
"""Re-entrant: compiling allocates, garbage collection may log (an exception of a task that nobody awaited),
and logging calls this module again."""
_values: dict[str, None] = {}
"""Ordered by registration: the oldest is the first to go."""
_lasting: set[str] = set()
_pattern: re.Pattern[str] | None = None


def redact(value: SecretStr | str) -> None:
    """Mask this value in log lines; very short ones would hide ordinary text and are not masked.

    Of many thousands, the oldest are forgotten.
    """
    global _pattern  # noqa: PLW0603 - the log processor is one per process, and so are the values it hides
    text = value.get_secret_value() if isinstance(value, SecretStr) else value
    if len(text) < _SHORTEST:
        return
    with _lock:
        if text in _values:
            _values[text] = _values.pop(text)
            return
        _values[text] = None
        if len(_values) > _MOST:
            _values.pop(next(iter(_values)))
        _pattern = None


def redact_for_good(value: SecretStr | str) -> None:
    """Mask this value for ever; for the few secrets of the process itself."""
    global _pattern  # noqa: PLW0603 - as above
    text = value.get_secret_value() if isinstance(value, SecretStr) else value
    if len(text) >= _SHORTEST:
        with _lock:
            _lasting.add(text)
            _pattern = None


def clean(value: object) -> Any:
    """Copy a log value with secrets masked."""
    if value is None or isinstance(value, int | float):
        return value
    if isinstance(value, SecretStr | SecretBytes):
        return MASK
    if isinstance(value, Mapping):
        return {
            _clean_text(str(key)): MASK if part is not None and _SECRET_NAME.search(str(key)) else clean(part)
            for key, part in value.items()
        }
    if isinstance(value, list | tuple | set | frozenset):
        return [clean(part) for part in value]
    if isinstance(value, bytes | bytearray):
        return _clean_text(value.decode(errors="backslashreplace"))
    return _clean_text(str(value))


def clean_unfinished(text: str) -> str:
    """Mask secrets in a text that may go on; what may be the beginning of a secret at its end is left out."""
    masked = _clean_text(text)
    with _lock:
        starts = [_start_of(value, masked) for value in _lasting.union(_values)]
    return masked[: len(masked) - max(starts, default=0)]


def _start_of(value: str, text: str) -> int:
    """Return how much of a value a text ends with, if that is enough to tell."""
    at = text.find(value[:_SHORTEST_START], max(0, len(text) - len(value) + 1))
    while at >= 0 and not value.startswith(text[at:]):
        at = text.find(value[:_SHORTEST_START], at + 1)
    return len(text) - at if at >= 0 else 0


def _clean_text(text: str) -> str:
    text = _URL_PASSWORD.sub(rf"\1:{MASK}@", text)
    pattern = _compiled()
    return pattern.sub(MASK, text) if pattern is not None else text


def _compiled() -> re.Pattern[str] | None:
    global _pattern  # noqa: PLW0603 - compiled once per change of the values
    with _lock:
        if _pattern is None and (_values or _lasting):
            longest_first = sorted(_lasting.union(_values), key=len, reverse=True)
            _pattern = re.compile("|".join(map(re.escape, longest_first)))
        return _pattern
