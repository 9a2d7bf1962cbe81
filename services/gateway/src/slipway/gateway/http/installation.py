"""`/api/v1/installation`: whether Slipway is paused, and going on."""

from fastapi import APIRouter
from starlette.responses import Response

from slipway.contracts.installation import (
    GetInstallation,
    Installation,
    PlanResume,
    ResumeInstallation,
    ResumePlan,
)
from slipway.gateway.bodies import ResumeBody
from slipway.gateway.http.answers import passed_on
from slipway.runtime.bus.client import Bus


def installation(bus: Bus) -> APIRouter:
    """Return the routes of this installation."""
    api = APIRouter(tags=["installation"])

    @api.get("/installation", response_model=Installation)
    async def get_installation() -> Response:
        return await passed_on(bus, GetInstallation())

    @api.get("/installation/difference", response_model=ResumePlan)
    async def get_difference() -> Response:
        return await passed_on(bus, PlanResume())

    @api.post("/installation/resume", response_model=Installation)
    async def resume(body: ResumeBody) -> Response:
        return await passed_on(bus, ResumeInstallation(**body.model_dump()))

    return api
