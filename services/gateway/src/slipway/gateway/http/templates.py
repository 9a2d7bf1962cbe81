"""`/api/v1/templates`."""

from fastapi import APIRouter
from starlette.responses import Response

from slipway.contracts.templates import GetTemplate, ListTemplates, Template, TemplateList
from slipway.gateway.http.answers import Cursor, Limit, NamePath, answer, passed_on
from slipway.runtime.bus.client import Bus
from slipway.runtime.errors import unknown_cursor


def templates(bus: Bus) -> APIRouter:
    """Return the routes of templates."""
    api = APIRouter(tags=["templates"])

    @api.get("/templates", response_model=TemplateList)
    async def list_templates(limit: Limit = 100, cursor: Cursor = None) -> Response:
        page = await bus.ask(ListTemplates())
        if cursor is not None and cursor not in {each.name for each in page.items}:
            raise unknown_cursor(cursor)
        # The cursor is the last name of the page before.
        left = [each for each in page.items if cursor is None or each.name > cursor]
        items = sorted(left, key=lambda each: each.name)[:limit]
        more = items[-1].name if len(left) > limit else None
        return answer(TemplateList(items=tuple(items), faults=page.faults, next=more))

    @api.get("/templates/{name}", response_model=Template)
    async def get_template(name: NamePath) -> Response:
        return await passed_on(bus, GetTemplate(name=name))

    return api
