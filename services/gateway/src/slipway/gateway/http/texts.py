"""The check of every request before its handler: texts and numbers that no service can process."""

from typing import Any

from fastapi import Depends, Request
from fastapi.exceptions import RequestValidationError

LARGEST = 2**53 - 1
"""The largest whole number that every JSON reader reads alike."""
DEEPEST = 32
_WITHOUT_BODY = {"GET", "HEAD"}
"""Requests whose body nobody reads."""
_NOT_TEXT = "It holds a character that is not text."
_TOO_DEEP = "It is nested too deeply."
_TOO_LARGE = f"It is a number beyond {LARGEST}."

Place = tuple[str, ...]


async def _sane(request: Request) -> None:
    """Refuse texts that no database and no shell can carry, and numbers out of all bounds, by name."""
    problems: list[tuple[Place, str]] = [
        (("query", name), _NOT_TEXT)
        for name, value in request.query_params.multi_items()
        if is_unfit(value) or is_unfit(name)
    ]
    problems += [
        (("path", name), _NOT_TEXT) for name, value in request.path_params.items() if is_unfit(value)
    ]
    if request.method not in _WITHOUT_BODY:
        try:
            content = await request.json()
        except (ValueError, RecursionError):
            content = None  # an empty body, or one that FastAPI refuses
        problems += [(("body", *where), message) for where, message in faults(content)]
    if problems:
        raise RequestValidationError(
            [{"type": "value_error", "loc": where, "msg": message} for where, message in problems]
        )


def faults(content: Any) -> list[tuple[Place, str]]:
    """Return the parts of a JSON value that can't be processed, with their places."""
    problems: list[tuple[Place, str]] = []
    waiting: list[tuple[Place, Any]] = [((), content)]
    while waiting:
        where, value = waiting.pop()
        parts: list[tuple[Place, Any]] = []
        if isinstance(value, dict):
            problems += [(where, _NOT_TEXT) for name in value if is_unfit(name)]
            parts = [((*where, _shown(name)), part) for name, part in value.items()]
        elif isinstance(value, list):
            parts = [((*where, str(index)), part) for index, part in enumerate(value)]
        elif isinstance(value, str) and is_unfit(value):
            problems.append((where, _NOT_TEXT))
        elif isinstance(value, int) and abs(value) > LARGEST:
            problems.append((where, _TOO_LARGE))
        if parts and len(where) >= DEEPEST:
            problems.append((where[:1], _TOO_DEEP))
        else:
            waiting += reversed(parts)
    return problems


def is_unfit(text: str) -> bool:
    """Whether no database and no shell can carry a text."""
    return "\0" in text or (not text.isascii() and any("\ud800" <= letter <= "\udfff" for letter in text))


def _shown(name: str) -> str:
    return name[:64].encode("ascii", "replace").decode().replace("\0", "?")


SaneTexts = Depends(_sane)
