"""`/api/v1/session`: how a browser signs in and out."""

from http import HTTPStatus

from fastapi import APIRouter, Request
from starlette.responses import Response

from slipway.gateway.auth import BOOTSTRAP, COOKIE, Auth
from slipway.gateway.http.answers import answer
from slipway.gateway.http.bodies import SessionAnswer, SessionBody


def session(auth: Auth) -> APIRouter:
    """Give the routes of the session."""
    api = APIRouter(tags=["session"])

    @api.post("/session", response_model=SessionAnswer)
    async def sign_in(body: SessionBody, request: Request) -> Response:
        cookie = await auth.sign_in(body.secret.get_secret_value())
        response = answer(SessionAnswer(actor=BOOTSTRAP))
        response.set_cookie(
            COOKIE,
            cookie,
            max_age=int(auth.lifetime.total_seconds()),
            httponly=True,
            samesite="strict",
            secure=request.url.scheme == "https",
        )
        return response

    @api.get("/session", response_model=SessionAnswer)
    async def who(request: Request) -> Response:
        return answer(SessionAnswer(actor=request.scope["actor"]))

    @api.delete("/session", status_code=HTTPStatus.NO_CONTENT)
    async def sign_out(request: Request) -> Response:
        await auth.sign_out(dict(request.scope["headers"]))
        response = Response(status_code=HTTPStatus.NO_CONTENT)
        response.delete_cookie(COOKIE, httponly=True, samesite="strict")
        return response

    return api
