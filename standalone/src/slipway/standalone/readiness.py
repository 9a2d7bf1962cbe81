"""Wait until a stack can be used: its services, the lab and its cluster, the templates.

Each is waited for with a deadline; a process that will never be ready, because it does not accept its
settings, ends the wait at once with its own message.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import httpx

from slipway.client.client import Client
from slipway.client.transport import ApiProblem, ApiUnreachable
from slipway.runtime.process.main import BAD_SETTINGS
from slipway.runtime.retry import Deadline
from slipway.standalone import lab as labs
from slipway.standalone.forks import ProcessFailed
from slipway.standalone.logview import LogView
from slipway.standalone.supervisor import Supervised

START_SECONDS = 90.0
POLL_SECONDS = 0.1


class Readiness:
    """Waits for the parts of one stack."""

    def __init__(self, view: LogView, processes: Callable[[], Sequence[Supervised]]) -> None:
        self._view = view
        self._processes = processes

    async def services(self, urls: Sequence[str]) -> None:
        """Wait until every service answers that it is ready."""

        async def are_ready() -> bool:
            try:
                responses = await asyncio.gather(*(http.get(f"{url}/readyz") for url in urls))
            except httpx.TransportError:
                return False
            return all(response.is_success for response in responses)

        async with httpx.AsyncClient(timeout=4.0, trust_env=False) as http:
            await self._until(are_ready, "the services")

    async def lab(self, folder: Path) -> labs.RunningLab:
        """Wait until the lab says how it is reached."""

        async def is_ready() -> bool:
            return labs.read_lab(folder) is not None

        await self._until(is_ready, "the lab")
        if (lab := labs.read_lab(folder)) is None:
            raise ProcessFailed("the lab is gone again; see the log")
        return lab

    async def cluster(self, client: Client, lab: labs.RunningLab) -> None:
        """Add the lab's cluster, and wait until containers can be created on it."""

        async def is_added() -> bool:
            try:
                await labs.add_cluster(client, lab)
            except (ApiProblem, ApiUnreachable) as error:
                if isinstance(error, ApiProblem) and error.is_final:
                    raise
                self._view.report(f"the lab's cluster can't be added yet: {error}")
                return False
            return True

        await self._until(is_added, "the lab's cluster")
        await self._until(lambda: labs.is_usable(client, lab), "the lab's nodes")

    async def templates(self, client: Client) -> None:
        """Wait until containers can be created from templates."""

        async def are_served() -> bool:
            try:
                return bool(await client.templates())
            except (ApiProblem, ApiUnreachable):
                return False

        await self._until(are_served, "the templates")

    async def _until(self, condition: Callable[[], Awaitable[bool]], what: str) -> None:
        deadline = Deadline(START_SECONDS)
        while not await condition():
            self._raise_for_wrong_settings()
            if deadline.has_passed:
                raise ProcessFailed(
                    f"{what} did not get ready within {START_SECONDS:.0f} seconds; see the log"
                )
            await asyncio.sleep(POLL_SECONDS)

    def _raise_for_wrong_settings(self) -> None:
        for process in self._processes():
            if process.last_status == BAD_SETTINGS:
                message = self._view.tail(process.name)
                raise ProcessFailed(f"{process.name} does not accept its settings:\n{message}")
