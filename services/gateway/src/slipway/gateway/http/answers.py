"""How answers are made, and what is checked of every request before a handler sees it."""

from typing import Annotated, Any

from fastapi import Depends, Path, Query, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel
from starlette.responses import Response

from slipway.contracts.containers import Accepted

_ID = r"^[a-z0-9][a-z0-9-]{0,126}$"
IdPath = Annotated[str, Path(pattern=_ID, max_length=127)]
Limit = Annotated[int, Query(ge=1, le=1000)]
Cursor = Annotated[str | None, Query(max_length=256, pattern=r"^[A-Za-z0-9._-]*$")]


def answer(value: BaseModel, *, status: int = 200, **headers: str) -> Response:
    """Write a value as JSON, once: it was validated when it came."""
    told = {"Cache-Control": "no-store", **{name.replace("_", "-"): text for name, text in headers.items()}}
    return Response(value.model_dump_json(), status, told, "application/json")


def accepted(value: Accepted) -> Response:
    """Say that a change has become a job, and where it is."""
    return answer(value, status=202, Location=f"/api/v1/jobs/{value.job.id}")


async def _sane_body(request: Request) -> None:
    """Refuse texts that no database and no shell can carry, naming the field."""
    if request.headers.get("content-type", "").partition(";")[0].strip() != "application/json":
        return
    try:
        content = await request.json()
    except (ValueError, RecursionError):
        return  # FastAPI says so
    errors = [
        {"type": "value_error", "loc": ("body", *where), "msg": "It holds a character that is not text."}
        for where in _unfit(content, ())
    ]
    if errors:
        raise RequestValidationError(errors)


def _unfit(value: Any, where: tuple[str, ...]) -> list[tuple[str, ...]]:
    match value:
        case str():
            bad = "\0" in value or any("\ud800" <= letter <= "\udfff" for letter in value)
            return [where] if bad else []
        case dict():
            return [
                found
                for key, part in value.items()
                for found in (
                    *_unfit(key, where),
                    *_unfit(part, (*where, str(key).encode("ascii", "replace").decode())),
                )
            ]
        case list():
            return [found for index, part in enumerate(value) for found in _unfit(part, (*where, str(index)))]
        case _:
            return []


SaneBody = Depends(_sane_body)
