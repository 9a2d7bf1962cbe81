"""`/api/v1/session`: how a browser signs in and out."""

from http import HTTPStatus
from typing import TypedDict

from fastapi import APIRouter, Request
from starlette.responses import Response

from slipway.gateway.bodies import SessionAnswer, SessionBody
from slipway.gateway.http.answers import answer
from slipway.gateway.identity.auth import BOOTSTRAP, COOKIE, Auth, headers_of


def session(auth: Auth) -> APIRouter:
    """Return the routes of the session."""
    api = APIRouter(tags=["session"])

    @api.post("/session", response_model=SessionAnswer)
    async def sign_in(body: SessionBody, request: Request) -> Response:
        cookie = await auth.sign_in(body.secret.get_secret_value(), client=_client(request))
        response = answer(SessionAnswer(actor=BOOTSTRAP))
        response.set_cookie(
            COOKIE,
            cookie,
            max_age=int(auth.lifetime.total_seconds()),
            httponly=True,
            samesite="strict",
            **_as_opened(request),
        )
        return response

    @api.get("/session", response_model=SessionAnswer)
    async def who(request: Request) -> Response:
        return answer(SessionAnswer(actor=request.scope["actor"]))

    @api.delete("/session", status_code=HTTPStatus.NO_CONTENT)
    async def sign_out(request: Request) -> Response:
        await auth.sign_out(headers_of(request.scope["headers"]))
        response = Response(status_code=HTTPStatus.NO_CONTENT)
        response.delete_cookie(COOKIE, httponly=True, samesite="strict", **_as_opened(request))
        return response

    return api


class _Bounds(TypedDict):
    """Where a browser sends a cookie."""

    path: str
    secure: bool


def _as_opened(request: Request) -> _Bounds:
    return {"path": request.scope.get("prefix") or "/", "secure": request.scope["scheme"] == "https"}


def _client(request: Request) -> str:
    return request.client.host if request.client is not None else "unknown"
