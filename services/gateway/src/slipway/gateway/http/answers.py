"""How answers are made, and the parameters that many paths take."""

from collections.abc import Sequence
from typing import Annotated, TypeVar

from fastapi import Path, Query
from pydantic import BaseModel
from starlette.responses import Response

from slipway.contracts.containers import Accepted

ID = r"^[a-z0-9][a-z0-9-]{0,126}$"
IdPath = Annotated[str, Path(pattern=ID, max_length=127)]
NamePath = Annotated[str, Path(max_length=127)]
IdFilter = Annotated[str | None, Query(pattern=ID, max_length=127)]
Words = Annotated[str | None, Query(max_length=200)]
Limit = Annotated[int, Query(ge=1, le=1000)]
Cursor = Annotated[str | None, Query(max_length=256, pattern=r"^[A-Za-z0-9._-]*$")]

ItemT = TypeVar("ItemT")


def answer(value: BaseModel, *, status: int = 200, **headers: str) -> Response:
    """Write a value as JSON, once: it was validated when it came."""
    told = {"Cache-Control": "no-store", **{name.replace("_", "-"): text for name, text in headers.items()}}
    return Response(value.model_dump_json(), status, told, "application/json")


def accepted(value: Accepted) -> Response:
    """Say that a change has become a job, and where it is."""
    return answer(value, status=202, Location=f"/api/v1/jobs/{value.job.id}")


def page_of(
    items: Sequence[ItemT], names: Sequence[str], *, limit: int, cursor: str | None
) -> tuple[tuple[ItemT, ...], str | None]:
    """Cut a page out of a whole list that is ordered by name; the cursor is the last name given."""
    after = [index for index, name in enumerate(names) if cursor is None or name > cursor]
    chosen = after[:limit]
    more = names[chosen[-1]] if len(after) > limit else None
    return tuple(items[index] for index in chosen), more
