"""The lab's data folder: what makes this lab this lab. Secrets, keys and certificate are made once.

Layout: `secrets/` (0600 files), `containers/`, `tasks/`, `volumes.json`, `templates/`, `host/` (what
`pct push` reads: the pretend node's file system), `guests/` (the backend's); with several nodes also `nodes/`
(the others' containers, tasks and so on) and `shared/`. Two labs with two
folders share nothing.
"""

import datetime as dt
import fcntl
import secrets
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import IO

import asyncssh
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from slipway.lab.host import records

DAYS = 730


class AlreadyRuns(Exception):
    """Another lab uses the data folder."""


@dataclass(frozen=True, slots=True)
class Folder:
    """Paths and secrets of one lab."""

    path: Path

    def prepare(self) -> IO[str]:
        """Make what is missing and take the folder; keep what is returned open for as long as it is used."""
        self.path.mkdir(parents=True, exist_ok=True, mode=0o700)
        for name in ("secrets", "containers", "tasks", "templates", "host", "guests"):
            (self.path / name).mkdir(exist_ok=True, mode=0o700)
        lock = (self.path / "lock").open("w")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            lock.close()
            raise AlreadyRuns(f"a lab runs in {self.path} already") from error
        return lock

    def secret_path(self, name: str) -> Path:
        """Where a secret lives."""
        return self.path / "secrets" / name

    def secret(self, name: str) -> str:
        """Read a password or key, made up the first time."""
        return self._kept(name, lambda: secrets.token_urlsafe(24))

    def token_secret(self, name: str) -> str:
        """Read an API token's secret: a UUID, as Proxmox makes them."""
        return self._kept(name, lambda: str(uuid.uuid4()))

    def ssh_key(self, name: str) -> asyncssh.SSHKey:
        """Read an Ed25519 key."""
        return asyncssh.import_private_key(self._kept(name, _new_ssh_key))

    def certificate(self, node: str) -> tuple[Path, Path]:
        """Give the API's certificate and key files; self-signed, as a fresh node's is."""
        certificate, key = self.secret_path("api.pem"), self.secret_path("api.key")
        if not certificate.exists():
            private, signed = _new_certificate(node)
            records.write_text(key, private)
            records.write_text(certificate, signed)
        return certificate, key

    def _kept(self, name: str, make: Callable[[], str]) -> str:
        path = self.secret_path(name)
        if not path.exists():
            records.write_text(path, make())
        return path.read_text(encoding="utf-8")


def fingerprint(certificate: Path) -> str:
    """Give a certificate's SHA-256 in Proxmox' form: `A0:63:...`."""
    parsed = x509.load_pem_x509_certificate(certificate.read_bytes())
    return parsed.fingerprint(hashes.SHA256()).hex(":").upper()


def _new_ssh_key() -> str:
    return asyncssh.generate_private_key("ssh-ed25519").export_private_key().decode()


def _new_certificate(node: str) -> tuple[str, str]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"{node}.lab.invalid")])
    now = dt.datetime.now(dt.UTC)
    names: list[x509.GeneralName] = [x509.DNSName(node), x509.DNSName("localhost")]
    names.append(x509.IPAddress(ip_address("127.0.0.1")))
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(days=DAYS))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return private.decode(), certificate.public_bytes(serialization.Encoding.PEM).decode()
