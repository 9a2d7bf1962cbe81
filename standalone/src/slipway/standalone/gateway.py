"""The gateway of a stack as others find it: its ports, its certificate, and what people are told of both."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, NoReturn

from slipway.cli.errors import CommandFailed
from slipway.runtime.process.ending import end
from slipway.standalone.accounts import Confinement, listening_anywhere
from slipway.standalone.address import Listening, url_of
from slipway.standalone.embedded.ports import HOST, free_port, require_free
from slipway.standalone.folders import DataFolder
from slipway.standalone.tls import HandedCertificate

RENEWAL_SECONDS = 12 * 3600.0
"""How often a certificate is looked at that a CA issued."""
AGAIN_SECONDS = 3600.0
"""The pause after a failure: Let's Encrypt lets five fail in an hour."""
_FIRST_FREE_PORT = 1024
"""An ordinary user may not listen below it."""


class GatewayAddress:
    """Where one stack's gateway listens."""

    def __init__(self, listening: Listening, folder: DataFolder, port: int) -> None:
        self._listening = listening
        self._folder = folder
        self._port = port or free_port()
        self.plain_port = free_port() if listening.has_tls else self._port
        """Where it speaks plain HTTP."""
        self._certificate: HandedCertificate | None = None
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def local_url(self) -> str:
        """Where this machine's programs find the API."""
        return url_of(self._listening.local_host, self.plain_port)

    @property
    def tls_url(self) -> str | None:
        """Where this machine finds the page with TLS; None without."""
        listening = self._listening
        return url_of(listening.tls_host, self._port, scheme="https") if listening.has_tls else None

    def require_free(self) -> None:
        """Raise `PortTaken` if somebody listens there."""
        require_free(self._port, self._listening.host)

    def certificate_request(self) -> Mapping[str, Any] | None:
        """Return what `prepare_certificate` is to do; None without TLS."""
        if not self._listening.has_tls:
            return None
        return {
            "data": str(self._folder.path),
            "own": self._listening.certificate,
            "names": self._listening.names(),
        }

    def hand_out(self) -> None:
        """Give the gateway its copy of the certificate, if there is TLS."""
        if self._listening.has_tls:
            self._certificate = HandedCertificate(
                self._folder, self._listening.files, has_acme=bool(self._listening.acme)
            )
            self._certificate.copy()

    def environment(self) -> Mapping[str, str]:
        """Return the settings that only the gateway has."""
        if self._certificate is None:
            return {"SLIPWAY_HTTP_HOST": self._listening.host}
        certificate, key = self._certificate.copies
        return {
            "SLIPWAY_HTTP_HOST": HOST,
            "SLIPWAY_HTTPS_HOST": self._listening.host,
            "SLIPWAY_HTTPS_PORT": str(self._port),
            "SLIPWAY_TLS_CERTIFICATE_FILE": str(certificate),
            "SLIPWAY_TLS_KEY_FILE": str(key),
        }

    def confinement(self, confinement: Confinement) -> Confinement:
        """Return how the gateway runs: as the other services, and able to listen on its port."""
        return listening_anywhere(confinement) if self._port < _FIRST_FREE_PORT else confinement

    def begin(self, report: Callable[[str], None], run: Callable[..., Awaitable[None]]) -> None:
        """Hand out every newer certificate from now on, and have one issued if that was asked for.

        Args:
            report: of what goes wrong.
            run: of an operation in a process of its own, by its name.
        """
        if self._certificate is not None:
            self._tasks.append(asyncio.create_task(self._certificate.follow(report), name="certificate"))
        if self._listening.acme:
            self._tasks.append(asyncio.create_task(self._renew(report, run), name="acme"))

    async def end(self) -> None:
        """Hand out no more."""
        await end(*self._tasks)

    async def _renew(self, report: Callable[[str], None], run: Callable[..., Awaitable[None]]) -> NoReturn:
        while True:
            pause = RENEWAL_SECONDS
            try:
                await run("renew_certificate", data=str(self._folder.path), names=list(self._listening.acme))
            except (CommandFailed, OSError) as error:
                report(f"{error}; it is tried again in an hour")
                pause = AGAIN_SECONDS
            await asyncio.sleep(pause)

    def sentences(self) -> list[str]:
        """Return what people are told when everything is ready."""
        lines = [f"Slipway is ready: {self._listening.shown_url(self._port)}"]
        if self._certificate is not None:
            lines.append(f"Its certificate's SHA-256 fingerprint: {self._certificate.fingerprint()}")
        if self._listening.warning is not None:
            lines.append(self._listening.warning)
        return lines
