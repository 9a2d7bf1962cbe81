"""`/api/v1/audit`."""

from fastapi import APIRouter
from starlette.responses import Response

from slipway.contracts.audit import AuditPage, ListAudit
from slipway.gateway.http.answers import Cursor, Limit, passed_on
from slipway.runtime.bus.client import Bus


def audit(bus: Bus) -> APIRouter:
    """Return the route of the audit log."""
    api = APIRouter(tags=["audit"])

    @api.get("/audit", response_model=AuditPage)
    async def list_audit(limit: Limit = 100, cursor: Cursor = None) -> Response:
        return await passed_on(bus, ListAudit(limit=limit, cursor=cursor))

    return api
