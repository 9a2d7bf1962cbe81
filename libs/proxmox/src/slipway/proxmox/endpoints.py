"""One cluster's API behind several endpoints: asked through one of them, through another if that fails.

Theory of operation. Any node answers for the whole cluster. Requests go through the endpoint that answered
last; each endpoint has threads of its own (`connection`), so one that hangs holds up nobody else. An
endpoint that fails is left alone for a while, and asked again only if the others fail as well, or later.

This is the only place where a request is sent once more to another endpoint, and it is done only if it
certainly had no effect: no connection came about, the certificate was not believed, or it was a question. A
change whose answer is lost is `AnswerLost`, here as anywhere. If a question is not answered for some seconds,
its endpoint is asked the simplest question there is: without an answer the endpoint hangs, and the question
goes to another one; otherwise the endpoint is only slow, and waited for.

Guarantees: each endpoint is tried at most once for a request, and with one endpoint nothing of this happens.
Non-guarantees: a node behind an endpoint may be away; that is the node's, not the endpoint's outage.
"""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Sequence
from datetime import timedelta
from functools import partial
from pathlib import Path

from slipway.contracts.problems import SlipwayError
from slipway.proxmox.access import ApiAccess
from slipway.proxmox.connection import Connection
from slipway.proxmox.errors import AnswerLost, CertificateMismatch, EndpointUnreachable, NoAnswer
from slipway.proxmox.wire import Params, Reply

STALL_SECONDS = 1.5
"""How long a question may be unanswered before its endpoint is looked at."""
LOOK = timedelta(seconds=2)
REST_SECONDS = 30.0
"""How long a failed endpoint is asked only after the others."""


class Endpoint:
    """One endpoint, and whether it failed of late."""

    def __init__(self, access: ApiAccess, *, record: Path | None, timeout: timedelta, workers: int) -> None:
        self.access = access
        self.failed_at = float("-inf")
        self._connect = partial(Connection, access, record=record, timeout=timeout, workers=workers)
        self._connection: Connection | None = None
        self._look: asyncio.Task[bool] | None = None

    @property
    def connection(self) -> Connection:
        """Its connection, made when it is first needed."""
        if self._connection is None:
            self._connection = self._connect()
        return self._connection

    @property
    def rests(self) -> bool:
        """Whether it has failed of late."""
        return time.monotonic() - self.failed_at < REST_SECONDS

    async def hangs(self) -> bool:
        """Return whether it does not even answer for its version; callers meanwhile share one request."""
        if self._look is None or self._look.done():
            # A task of its own: its result counts also if nobody waits for it any more.
            self._look = asyncio.get_running_loop().create_task(self._looked())
        return await asyncio.shield(self._look)

    async def aclose(self) -> None:
        """Drop its connections."""
        if self._look is not None:
            self._look.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._look
        if self._connection is not None:
            await self._connection.aclose()

    async def _looked(self) -> bool:
        try:
            await self.connection.request("GET", "version", within=LOOK)
        except (EndpointUnreachable, NoAnswer):
            self.failed_at = time.monotonic()
            return True
        except SlipwayError:
            pass
        return False


class Endpoints:
    """Asks one cluster through whichever of its endpoints works."""

    def __init__(self, access: ApiAccess, *, record: Path | None, timeout: timedelta, workers: int) -> None:
        self._all = [
            Endpoint(each, record=record, timeout=timeout, workers=workers) for each in access.each()
        ]
        self.last = self._all[0]
        """The endpoint that answered last."""
        # Created here, so that an unreadable CA raises before the first request.
        _ = self.last.connection

    async def request(
        self, method: str, *segments: str, params: Params | None = None, within: timedelta | None = None
    ) -> Reply:
        """Send one request; see `wire` for what an error guarantees, `connection` for the arguments."""
        loop = asyncio.get_running_loop()
        ends_at = loop.time() + within.total_seconds() if within else None
        failures: list[SlipwayError] = []
        for endpoint in self._order():
            remaining = timedelta(seconds=ends_at - loop.time()) if ends_at is not None else None
            if failures and remaining is not None and remaining <= timedelta(0):
                break
            request = endpoint.connection.request(method, *segments, params=params, within=remaining)
            try:
                reply = await (self._watched(endpoint, request) if method == "GET" else request)
            except (EndpointUnreachable, CertificateMismatch) as error:
                endpoint.failed_at = time.monotonic()
                failures.append(error)
            except NoAnswer as error:
                # Slow, or about a node that is away: another endpoint would know no more. Unless it hangs,
                # as `_watched` may have found.
                if not endpoint.rests:
                    raise
                failures.append(error)
            except AnswerLost:
                endpoint.failed_at = time.monotonic()
                raise
            else:
                endpoint.failed_at = float("-inf")
                self.last = endpoint
                return reply
        raise _worst(failures, len(self._all))

    async def aclose(self) -> None:
        """Drop all connections."""
        for endpoint in self._all:
            await endpoint.aclose()

    def _order(self) -> Sequence[Endpoint]:
        """Return the endpoints as they are tried: the one that answered last, those that rest at the end."""
        ordered = [self.last, *(each for each in self._all if each is not self.last)]
        return sorted(ordered, key=lambda endpoint: endpoint.rests)

    async def _watched(self, endpoint: Endpoint, request: Awaitable[Reply]) -> Reply:
        """Wait for the answer to a question, but not from an endpoint that hangs."""
        if len(self._all) == 1:
            return await request
        answer = asyncio.ensure_future(request)
        try:
            done, _ = await asyncio.wait({answer}, timeout=STALL_SECONDS)
            if not done and await endpoint.hangs() and not answer.done():
                raise EndpointUnreachable(f"{endpoint.access.endpoint} hangs: it answers nothing.")
            return await answer
        finally:
            answer.cancel()


def _worst(failures: Sequence[SlipwayError], count: int) -> SlipwayError:
    """Return the most useful error: an untrusted certificate needs somebody's decision."""
    error = next((each for each in failures if isinstance(each, CertificateMismatch)), failures[0])
    if len(failures) == 1 or isinstance(error, CertificateMismatch):
        return error
    others = "" if len(failures) == count else " that could be asked in time"
    combined = EndpointUnreachable(
        f"{error.message} None of the cluster's {len(failures)} endpoints{others} can be used."
    )
    combined.details = error.details
    return combined
