"""Errors as RFC 9457 problem details, with a stable code and the correlation id."""

import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.routing import Match

from slipway.contracts.problems import FieldError, Problem, ProblemKind, Reason, SlipwayError
from slipway.runtime.bus.call import current
from slipway.runtime.error_mapping import http_status
from slipway.runtime.errors import problem_of
from slipway.runtime.process.logs import get_logger

log = get_logger()

MEDIA_TYPE = "application/problem+json"
_CODES = {
    HTTPStatus.NOT_FOUND: ("path.not-found", "There is nothing at this path."),
    HTTPStatus.METHOD_NOT_ALLOWED: ("method.not-allowed", "This path does not take this method."),
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: ("request.too-large", "A request may have 1024 KiB."),
    HTTPStatus.REQUEST_TIMEOUT: ("request.too-slow", "The body did not come in time."),
    HTTPStatus.BAD_REQUEST: ("request.not-json", "The body can't be read as JSON."),
}
_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
_PLACES = {"body", "query", "header", "cookie"}
_MOST_FAULTS = 50
_OBJECT_WANTED = {"model_attributes_type", "model_type", "dict_type"}


class ProblemResponse(Response):
    """A problem, as it goes over HTTP."""

    media_type = MEDIA_TYPE

    def __init__(self, problem: Problem, status: HTTPStatus | None = None) -> None:
        code = status or http_status(problem)
        headers = {"Cache-Control": "no-store"}
        if problem.retry_after_seconds is not None:
            headers["Retry-After"] = str(max(1, round(problem.retry_after_seconds)))
        if code is HTTPStatus.UNAUTHORIZED:
            headers["WWW-Authenticate"] = "Bearer"
        super().__init__(json.dumps(details(problem, code)), status_code=code, headers=headers)


def details(problem: Problem, status: HTTPStatus) -> Mapping[str, Any]:
    """Return a problem's members: those of RFC 9457, and ours."""
    return {
        "type": f"urn:slipway:problem:{problem.code}",
        "title": status.phrase,
        "status": int(status),
        "detail": problem.message,
        "code": problem.code,
        "message": problem.message,
        "correlation_id": current().correlation_id,
        "errors": [each.model_dump() for each in problem.errors],
        "details": dict(problem.details),
        **({"checks": [each.model_dump(mode="json") for each in problem.checks]} if problem.checks else {}),
    }


def install(app: FastAPI) -> None:
    """Make every error of an application a problem."""
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _refused)
    app.add_exception_handler(SlipwayError, _foreseen)


def not_found() -> Problem:
    """Return the problem of an unknown path."""
    code, message = _CODES[HTTPStatus.NOT_FOUND]
    return Problem(kind=ProblemKind.REJECTED, code=code, message=message, reason=Reason.NOT_FOUND)


def not_allowed(allowed: str) -> ProblemResponse:
    """Return the problem of a wrong method, with the right ones."""
    code, message = _CODES[HTTPStatus.METHOD_NOT_ALLOWED]
    problem = Problem(kind=ProblemKind.REJECTED, code=code, message=f"{message} It takes {allowed}.")
    response = ProblemResponse(problem, HTTPStatus.METHOD_NOT_ALLOWED)
    response.headers["Allow"] = allowed
    return response


def unforeseen(error: Exception) -> ProblemResponse:
    """Return the answer to a bug: that it happened, and its correlation id; nothing of its text."""
    log.error("request failed by a bug", exc_info=error)
    return ProblemResponse(problem_of(error))


async def _foreseen(_request: Request, error: Exception) -> Response:
    return ProblemResponse(problem_of(error))


async def _refused(request: Request, error: Exception) -> Response:
    if not isinstance(error, HTTPException):
        raise error
    status = HTTPStatus(error.status_code)
    if status is HTTPStatus.METHOD_NOT_ALLOWED:
        return not_allowed(", ".join(_methods_of(request)))
    code, message = _CODES.get(status, ("request.invalid", str(error.detail)))
    response = ProblemResponse(Problem(kind=ProblemKind.REJECTED, code=code, message=message), status)
    response.headers.update(error.headers or {})
    return response


def _methods_of(request: Request) -> list[str]:
    """Return all methods of a path: the framework's `Allow` has only those of the first route."""
    scopes = {method: {**request.scope, "method": method} for method in _METHODS}
    return [
        method
        for method, scope in scopes.items()
        if any(route.matches(scope)[0] is Match.FULL for route in request.app.routes)
    ]


async def _invalid(_request: Request, error: Exception) -> Response:
    if not isinstance(error, RequestValidationError):
        raise error
    faults = error.errors()
    if any(each["loc"][:1] == ("path",) for each in faults):
        return ProblemResponse(not_found())
    is_json = not any(each["type"] == "json_invalid" for each in faults)
    errors = tuple(_fault(each) for each in faults[:_MOST_FAULTS])
    problem = Problem(
        kind=ProblemKind.REJECTED,
        code="request.invalid" if is_json else "request.not-json",
        message="; ".join(f"{each.field}: {each.message}" if each.field else each.message for each in errors),
        reason=Reason.INVALID,
        errors=errors,
    )
    return ProblemResponse(problem, None if is_json else HTTPStatus.BAD_REQUEST)


def _fault(fault: Mapping[str, Any]) -> FieldError:
    if fault["type"] == "json_invalid":
        return FieldError(field="", message=f"The body is not JSON: {fault.get('ctx', {}).get('error', '')}")
    where = fault["loc"][1:] if fault["loc"][0] in _PLACES else fault["loc"]
    if not where and fault["type"] in _OBJECT_WANTED:
        return FieldError(field="", message="The body must be an object, as Content-Type: application/json.")
    message = "There is no such field." if fault["type"] == "extra_forbidden" else str(fault["msg"])
    return FieldError(field=".".join(str(part)[:64] for part in where), message=message)
