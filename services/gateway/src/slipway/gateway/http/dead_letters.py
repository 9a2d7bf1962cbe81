"""`/api/v1/dead-letters`: what could not be handled."""

import re
from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Path
from starlette.responses import Response

from slipway.contracts.dead_letters import DeadLetter, DeadLetterPage, DropDeadLetter, ReplayDeadLetter
from slipway.gateway.http.answers import Cursor, Limit, answer
from slipway.runtime.bus.client import Bus
from slipway.runtime.bus.dead_letters import DeadLetterNotFound, dead_letter, dead_letter_page, whole
from slipway.runtime.errors import unknown_cursor

MessagePath = Annotated[int, Path(ge=1, le=2**53)]


def dead_letters(bus: Bus) -> APIRouter:
    """Return the routes of dead letters."""
    api = APIRouter(tags=["dead_letters"])

    @api.get("/dead-letters", response_model=DeadLetterPage)
    async def list_dead_letters(limit: Limit = 100, cursor: Cursor = None) -> Response:
        after = _number(cursor) if cursor is not None else 0
        items, remaining = await dead_letter_page(bus.connection, after=after, most=limit)
        if cursor is not None and not items:
            await _require_letter(bus, cursor)
        return answer(DeadLetterPage(items=items, next=str(items[-1].id) if items and remaining else None))

    @api.get("/dead-letters/{message}", response_model=DeadLetter)
    async def get_dead_letter(message: MessagePath) -> Response:
        return answer(whole(await dead_letter(bus.connection, message)))

    @api.post("/dead-letters/{message}/replay", status_code=HTTPStatus.NO_CONTENT)
    async def replay(message: MessagePath) -> Response:
        await bus.ask(ReplayDeadLetter(message=message))
        return Response(status_code=HTTPStatus.NO_CONTENT)

    @api.delete("/dead-letters/{message}", status_code=HTTPStatus.NO_CONTENT)
    async def drop(message: MessagePath) -> Response:
        await bus.ask(DropDeadLetter(message=message))
        return Response(status_code=HTTPStatus.NO_CONTENT)

    return api


def _number(cursor: str) -> int:
    """Return the number of the letter that a page ended with."""
    if not re.fullmatch(r"[0-9]{1,15}", cursor):
        raise unknown_cursor(cursor)
    return int(cursor)


async def _require_letter(bus: Bus, cursor: str) -> None:
    """Raise unless a page ended there: one whose letter was dropped meanwhile goes on with those after it."""
    try:
        await dead_letter(bus.connection, _number(cursor))
    except DeadLetterNotFound as error:
        raise unknown_cursor(cursor) from error
