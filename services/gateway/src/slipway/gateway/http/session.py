"""`/api/v1/session`: how a browser signs in and out."""

from http import HTTPStatus

from fastapi import APIRouter, Request
from starlette.responses import Response

from slipway.gateway.bodies import SessionAnswer, SessionBody
from slipway.gateway.http.answers import answer
from slipway.gateway.identity.auth import BOOTSTRAP, COOKIE, Auth, headers_of


def session(auth: Auth, *, is_public_https: bool) -> APIRouter:
    """Return the routes of the session.

    Args:
        auth: knows the secret, and the sessions.
        is_public_https: whether browsers come over HTTPS, also if a proxy speaks plain HTTP to us.
    """
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
            secure=is_public_https or request.url.scheme == "https",
        )
        return response

    @api.get("/session", response_model=SessionAnswer)
    async def who(request: Request) -> Response:
        return answer(SessionAnswer(actor=request.scope["actor"]))

    @api.delete("/session", status_code=HTTPStatus.NO_CONTENT)
    async def sign_out(request: Request) -> Response:
        await auth.sign_out(headers_of(request.scope["headers"]))
        response = Response(status_code=HTTPStatus.NO_CONTENT)
        is_secure = is_public_https or request.url.scheme == "https"
        response.delete_cookie(COOKIE, httponly=True, samesite="strict", secure=is_secure)
        return response

    return api
