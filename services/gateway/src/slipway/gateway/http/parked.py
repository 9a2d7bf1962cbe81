"""`/api/v1/parked`: what could not be handled."""

from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Path
from starlette.responses import Response

from slipway.contracts.parked import DropParked, ParkedMessage, ParkedPage, ReplayParked
from slipway.gateway.http.answers import Limit, NumberCursor, answer
from slipway.runtime.bus import Bus
from slipway.runtime.parked import parked_message, parked_page, whole

MessagePath = Annotated[int, Path(ge=1, le=2**53)]


def parked(bus: Bus) -> APIRouter:
    """Give the routes of parked messages."""
    api = APIRouter(tags=["parked"])

    @api.get("/parked", response_model=ParkedPage)
    async def list_parked(limit: Limit = 100, cursor: NumberCursor = None) -> Response:
        items, remaining = await parked_page(bus.connection, after=int(cursor or 0), most=limit)
        return answer(ParkedPage(items=items, next=str(items[-1].id) if items and remaining else None))

    @api.get("/parked/{message}", response_model=ParkedMessage)
    async def get_parked(message: MessagePath) -> Response:
        return answer(whole(await parked_message(bus.connection, message)))

    @api.post("/parked/{message}/replay", status_code=HTTPStatus.NO_CONTENT)
    async def replay(message: MessagePath) -> Response:
        await bus.ask(ReplayParked(message=message))
        return Response(status_code=HTTPStatus.NO_CONTENT)

    @api.delete("/parked/{message}", status_code=HTTPStatus.NO_CONTENT)
    async def drop(message: MessagePath) -> Response:
        await bus.ask(DropParked(message=message))
        return Response(status_code=HTTPStatus.NO_CONTENT)

    return api
