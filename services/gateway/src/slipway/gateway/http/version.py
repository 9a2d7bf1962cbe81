"""`/api/v1/version`."""

from importlib.metadata import version as version_of

from fastapi import APIRouter
from starlette.responses import Response

from slipway.gateway.bodies import VersionAnswer
from slipway.gateway.http.answers import answer

VERSION = version_of("slipway-gateway")


def version() -> APIRouter:
    """Return the route of the version."""
    api = APIRouter(tags=["version"])

    @api.get("/version", response_model=VersionAnswer)
    async def get_version() -> Response:
        return answer(VersionAnswer(version=VERSION))

    return api
