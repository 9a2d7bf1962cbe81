"""proxmoxer behind an async front: the threads that ask one cluster.

Theory of operation. proxmoxer and requests block, and a requests session is not thread-safe; so a small pool
of threads sends the requests, each over the `Wire` that was used last among the free ones: the API closes a
connection after five idle seconds, and a new one costs both sides a TLS handshake. A semaphore guards the
pool: a caller that waits for a thread can be cancelled without leaving work behind, and a thread counts as
busy until it really is done, also when nobody waits for it any more. One node may have half of the threads,
so that a node that does not answer blocks no request to the others; all nodes together leave some for the
cluster itself.

Guarantees: a call waits for a thread no longer than it may take, and ends within connect and read timeout;
what `wire` guarantees of a request holds here.
Non-guarantees: a cancelled call may still take effect.
"""

import asyncio
import logging
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

from slipway.proxmox.access import ApiAccess
from slipway.proxmox.auth import TicketAuth, token_auth
from slipway.proxmox.error_mapping import answer_lost
from slipway.proxmox.errors import CertificateMismatch, EndpointUnreachable, NoAnswer
from slipway.proxmox.wire import Params, Reply, Wire, login, path_of

CONNECT_SECONDS = 10.0
DEFAULT_TIMEOUT = timedelta(seconds=40)
"""Longer than any wait of Proxmox' own: 10 s for a lock, 30 s for another node (PVE 9.2, from source)."""
DEFAULT_WORKERS = 8
_SLACK_SECONDS = 5.0
_RESERVED_FOR_CLUSTER = 2
"""Threads that no node's slowness can take."""


class Connection:
    """Asks one cluster's API, a bounded number of requests at a time."""

    def __init__(self, access: ApiAccess, *, record: Path | None, timeout: timedelta, workers: int) -> None:
        for name in ("proxmoxer", "proxmoxer.core", "proxmoxer.backends.https"):
            # At INFO it logs what is sent, passwords included.
            logging.getLogger(name).setLevel(logging.WARNING)
        timeouts = (CONNECT_SECONDS, timeout.total_seconds())
        self._access = access
        self._record_to = record
        self._auth = (
            token_auth(access, timeout=timeouts)
            if access.token_id is not None
            else TicketAuth(access, login=login(access, timeout=timeouts, record_to=record), timeout=timeouts)
        )
        self._deadline_seconds = sum(timeouts) + _SLACK_SECONDS
        self._threads = ThreadPoolExecutor(workers, thread_name_prefix="proxmox")
        self._free = asyncio.Semaphore(workers)
        self._share = max(1, workers // 2)
        self._of_nodes = asyncio.Semaphore(max(1, workers - _RESERVED_FOR_CLUSTER))
        self._of_node: dict[str, asyncio.Semaphore] = {}
        self._wires: list[Wire] = []
        self._free_wires: list[tuple[Wire, int]] = []
        """The one used last at the end, each with `_mistrusted` as it was when it was taken."""
        self._mistrusted = 0
        """Grows with each untrusted certificate: older connections are not used again."""
        # Created here once, so that an unreadable CA raises before the first request.
        self._free_wires.append(self._take_wire())

    async def request(
        self, method: str, *segments: str, params: Params | None = None, within: timedelta | None = None
    ) -> Reply:
        """Send one request; see `wire` for what an error guarantees.

        Args:
            method: GET, POST, PUT or DELETE.
            segments: The parts of the path; whatever they hold is percent-encoded.
            params: Sent as 1 and 0 where they are booleans, left out where they are None.
            within: How long it may take in all, if that is less than usual; for questions.
        """
        path = path_of(segments)
        loop = asyncio.get_running_loop()
        seconds = within.total_seconds() if within is not None else None
        ends_at = loop.time() + (seconds or self._deadline_seconds)
        permits = self._permits(segments)
        await self._take(permits, path, ends_at)

        def release(_: Future[Reply]) -> None:
            if not loop.is_closed():
                loop.call_soon_threadsafe(_give_back, permits)

        future = self._threads.submit(self._ask, method, segments, params or {}, seconds)
        future.add_done_callback(release)
        answer = asyncio.wrap_future(future)
        answer.add_done_callback(_retrieve)
        try:
            async with asyncio.timeout_at(ends_at if within else loop.time() + self._deadline_seconds):
                return await asyncio.shield(answer)
        except TimeoutError as error:
            if method == "GET":
                raise NoAnswer(f"Proxmox did not answer {path} in time.", path=path) from error
            raise answer_lost(method, path, why="no answer in time") from error

    async def aclose(self) -> None:
        """Accept no more requests and drop the connections; running ones are abandoned."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        for wire in self._wires:
            wire.close()

    def _permits(self, segments: tuple[str, ...]) -> Sequence[asyncio.Semaphore]:
        """Return the semaphores of a request: its node's share first, then a thread."""
        if segments[0] != "nodes" or len(segments) == 1:
            return (self._free,)
        of_node = self._of_node.setdefault(segments[1], asyncio.Semaphore(self._share))
        return of_node, self._of_nodes, self._free

    async def _take(self, permits: Sequence[asyncio.Semaphore], path: str, ends_at: float) -> None:
        taken: list[asyncio.Semaphore] = []
        try:
            async with asyncio.timeout_at(ends_at):
                for each in permits:
                    await each.acquire()
                    taken.append(each)
        except TimeoutError as error:
            _give_back(taken)
            message = f"{path} was not sent: all connections are waiting for answers."
            raise EndpointUnreachable(message, path=path) from error
        except asyncio.CancelledError:
            _give_back(taken)
            raise

    def _ask(
        self, method: str, segments: tuple[str, ...], params: Params, within_seconds: float | None
    ) -> Reply:
        wire, mistrusted_at = self._take_wire()
        try:
            return wire.request(method, segments, params, within_seconds=within_seconds)
        except CertificateMismatch:
            self._mistrusted += 1
            raise
        finally:
            self._free_wires.append((wire, mistrusted_at))

    def _take_wire(self) -> tuple[Wire, int]:
        mistrusted = self._mistrusted
        try:
            wire, mistrusted_at = self._free_wires.pop()
        except IndexError:
            wire = Wire(self._access, auth=self._auth, record_to=self._record_to)
            self._wires.append(wire)
        else:
            if mistrusted_at != mistrusted:
                wire.close()
        return wire, mistrusted


def _retrieve(answer: "asyncio.Future[Reply]") -> None:
    """Retrieve an answer that nobody waits for any more."""
    if not answer.cancelled():
        answer.exception()


def _give_back(permits: Sequence[asyncio.Semaphore]) -> None:
    for each in permits:
        each.release()
