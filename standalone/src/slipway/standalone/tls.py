"""The gateway's own copy of the certificate, renewed whenever the operator's files change.

The services' user can't read what only root can. What is copied is not judged here: the gateway does that,
goes on with the pair before if it can't use the new one, and says so.
"""

import asyncio
import hashlib
import os
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

from slipway.standalone.embedded.process import account_for
from slipway.standalone.embedded.shared import services_folder
from slipway.standalone.folders import DataFolder, write_whole

POLL_SECONDS = 1.0
_END = "-----END CERTIFICATE-----"


class HandedCertificate:
    """A certificate and its key, and the copies that the gateway reads."""

    def __init__(self, folder: DataFolder, own: tuple[Path, Path] | None, *, has_acme: bool = False) -> None:
        self._has_acme = has_acme
        self._folder = folder
        self._own = own
        account = account_for(folder.path)
        self._owner = (account.uid, account.gid) if os.geteuid() == 0 else None
        place = services_folder(folder.path, account) / "gateway"
        self.copies = (place / "tls-certificate.pem", place / "tls-key.pem")
        self._copied: tuple[str, ...] = ()

    @property
    def _sources(self) -> tuple[Path, Path]:
        """The operator's files; what a CA issued, once it has; else the self-signed ones."""
        acme = self._folder.acme_files
        return self._own or (
            acme if self._has_acme and all(path.exists() for path in acme) else self._folder.tls_files
        )

    def copy(self) -> None:
        """Write the copies anew if the files have others."""
        contents = tuple(_text(path) for path in self._sources)
        if contents != self._copied:
            for target, content in zip(self.copies, contents, strict=True):
                write_whole(target, content, owner=self._owner)
            self._copied = contents

    async def follow(self, report: Callable[[str], None]) -> NoReturn:
        """Renew the copies until cancelled; report what keeps them from being renewed, once."""
        reported = ""
        while True:
            await asyncio.sleep(POLL_SECONDS)
            problem = ""
            try:
                self.copy()
            except OSError as error:
                problem = f"the certificate can't be copied for the gateway, which goes on without: {error}"
            if problem and problem != reported:
                report(problem)
            reported = problem

    def fingerprint(self) -> str:
        """Return the certificate's SHA-256 fingerprint."""
        text = _text(self._sources[0])
        first = text[: text.index(_END) + len(_END)]
        der = ssl.PEM_cert_to_DER_cert(first[first.index("-----BEGIN CERTIFICATE") :])
        return hashlib.sha256(der).digest().hex(":").upper()


def _text(path: Path) -> str:
    """Read a file of PEM; what stands around it may be in any encoding."""
    return path.read_text(encoding="utf-8", errors="replace")
