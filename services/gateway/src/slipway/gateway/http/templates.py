"""`/api/v1/templates`."""

from fastapi import APIRouter
from starlette.responses import Response

from slipway.contracts.templates import GetTemplate, ListTemplates, Template, TemplateList
from slipway.gateway.http.answers import Cursor, Limit, NamePath, answer, page_of
from slipway.runtime.bus.client import Bus


def templates(bus: Bus) -> APIRouter:
    """Return the routes of templates."""
    api = APIRouter(tags=["templates"])

    @api.get("/templates", response_model=TemplateList)
    async def list_templates(limit: Limit = 100, cursor: Cursor = None) -> Response:
        page = await bus.ask(ListTemplates())
        ordered = sorted(page.items, key=lambda each: each.name)
        items, more = page_of(ordered, [each.name for each in ordered], limit=limit, cursor=cursor)
        return answer(TemplateList(items=items, faults=page.faults, next=more))

    @api.get("/templates/{name}", response_model=Template)
    async def get_template(name: NamePath) -> Response:
        return answer(await bus.ask(GetTemplate(name=name)))

    return api
