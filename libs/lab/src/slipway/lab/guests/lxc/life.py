"""One run of a guest, from LXC's start to the end of its init."""

import contextlib
import os
import select
import subprocess
from collections.abc import AsyncIterator
from typing import Self

from slipway.lab.guests import commands
from slipway.lab.guests.lxc.place import Place
from slipway.lab.guests.protocol import GuestError

ASK_SECONDS = 5.0


class Life:
    """Made by `start`; watches init by a descriptor of its process. `pid` is init's, as the host counts."""

    def __init__(self, place: Place, vmid: int) -> None:
        self.pid = 0
        self._place = place
        self._vmid = vmid
        self._descriptor: int | None = None

    @classmethod
    async def start(cls, place: Place, vmid: int, *, timeout_seconds: float) -> Self:
        """Start LXC's monitor, which goes into the background when init runs."""
        log = place.runtime(vmid) / "lxc.log"
        log.unlink(missing_ok=True)
        argv = ["lxc-start", *place.named(vmid), "-d", "-o", str(log), "-l", "ERROR"]
        await commands.run(argv, timeout_seconds=timeout_seconds)
        life = cls(place, vmid)
        if not life.is_running():
            raise GuestError("its init ended at once")
        return life

    def is_running(self) -> bool:
        """Look at the process; when it is gone, ask LXC, for a guest that reboots gets a new one."""
        if self._descriptor is not None and not select.select([self._descriptor], [], [], 0)[0]:
            return True
        self.forget()
        self.pid = self._ask()
        if self.pid:
            with contextlib.suppress(ProcessLookupError):
                self._descriptor = os.pidfd_open(self.pid)
        return self._descriptor is not None

    def forget(self) -> None:
        """Let go of the process."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def __del__(self) -> None:
        self.forget()

    def _ask(self) -> int:
        """Return init's number; 0 when there is none, or LXC does not answer."""
        argv = ["lxc-info", *self._place.named(self._vmid), "-pH"]
        try:
            answer = subprocess.run(  # noqa: S603 - fixed words and names of ours
                argv,
                check=False,
                capture_output=True,
                text=True,
                timeout=ASK_SECONDS,
                env=commands.environment(),
            )
        except subprocess.TimeoutExpired:
            return 0
        number = answer.stdout.strip()
        return int(number) if number.isdigit() else 0


@contextlib.asynccontextmanager
async def frozen(place: Place, vmid: int) -> AsyncIterator[None]:
    """Hold all processes of a running guest; they go on whatever happens."""
    try:
        await commands.run(["lxc-freeze", *place.named(vmid)])
        yield
    finally:
        await commands.attempt(["lxc-unfreeze", *place.named(vmid)])
