"""The certificates of the API: the cluster's CA, and what each node shows.

As on a real cluster each node has `pve-ssl.pem`, signed by the cluster's CA (`pve-root-ca.pem`), and shows
`pveproxy-ssl.pem` in its place when someone has put that there. A folder of an older lab goes on with the
self-signed certificate that it has, until that is renewed.
"""

import datetime as dt
import ssl
import uuid
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Literal

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from slipway.lab.host import records

DAYS = 730
CA_DAYS = 3650
ROOT = "pve-root-ca"
OWN, PUT_THERE = "pve-ssl", "pveproxy-ssl"
Key = ec.EllipticCurvePrivateKey


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificates:
    """One node's."""

    folder: Path
    """Where the secrets are."""
    node: str
    suffix: str
    """What tells its files from other nodes' files."""
    address: str

    def prepare(self) -> None:
        """Make what is missing."""
        _authority(self.folder)
        key = self._path("api", "key")
        if key.exists():  # of an older lab
            key.replace(self._path(OWN, "key"))
            self._path("api", "pem").replace(self._path(OWN, "pem"))
        if not self._path(OWN, "pem").exists():
            self._write(OWN, "cluster")
        self._write_trust()

    def renew(self, signed_by: Literal["cluster", "itself"], name: str) -> None:
        """Replace a file's certificate and its key, `name` with or without `.pem`."""
        self._write(name.removesuffix(".pem"), signed_by)
        self._write_trust()

    @property
    def fingerprint(self) -> str:
        """SHA-256 of what the node shows, as Proxmox writes it: `A0:63:...`."""
        return _fingerprint(_read(self._path(self._shown(), "pem")))

    @property
    def trust_file(self) -> Path:
        """A file for clients that shall trust this node: what it shows, and the cluster's CA."""
        return self._path("api", "pem")

    @property
    def authority_file(self) -> Path:
        """The cluster's CA."""
        return self.folder / f"{ROOT}.pem"

    def files(self) -> dict[str, Path]:
        """Return where the certificates lie, by their paths below `/etc/pve`; not all need to be there."""
        own = {f"local/{name}.pem": self._path(name, "pem") for name in (OWN, PUT_THERE)}
        return {f"{ROOT}.pem": self.authority_file, **own}

    def context(self) -> ssl.SSLContext:
        """Make the context of a server that shows the certificate alone, as pveproxy does."""
        name = self._shown()
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(self._path(name, "pem"), self._path(name, "key"))
        return context

    def shown(self) -> list[dict[str, Any]]:
        """List them as the API does."""
        rows = [_row(f"{ROOT}.pem", _read(self.authority_file))]
        files = {f"{name}.pem": self._path(name, "pem") for name in (OWN, PUT_THERE)}
        return rows + [_row(name, _read(path)) for name, path in files.items() if path.exists()]

    def _shown(self) -> str:
        return PUT_THERE if self._path(PUT_THERE, "pem").exists() else OWN

    def _path(self, name: str, suffix: str) -> Path:
        return self.folder / f"{name}{self.suffix}.{suffix}"

    def _write(self, name: str, signed_by: str) -> None:
        key = ec.generate_private_key(ec.SECP256R1())
        subject = _name(f"{self.node}.lab.invalid", "PVE Cluster Node", "Proxmox Virtual Environment")
        issuer, signing = (subject, key) if signed_by == "itself" else _authority(self.folder)
        builder = _builder(subject, issuer, key, days=DAYS, is_authority=signed_by == "itself")
        names: list[x509.GeneralName] = [x509.DNSName(self.node), x509.DNSName("localhost")]
        addresses = dict.fromkeys(["127.0.0.1", self.address])
        names += [x509.IPAddress(ip_address(one)) for one in addresses]
        certificate = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        records.write_text(self._path(name, "key"), _pem(key))
        signed = certificate.sign(signing, hashes.SHA256())
        records.write_text(self._path(name, "pem"), signed.public_bytes(serialization.Encoding.PEM).decode())

    def _write_trust(self) -> None:
        shown = self._path(self._shown(), "pem").read_text(encoding="ascii")
        records.write_text(self.trust_file, shown + self.authority_file.read_text(encoding="ascii"))


def _authority(folder: Path) -> tuple[x509.Name, Key]:
    """Return the CA's name and key, made the first time."""
    certificate, key = folder / f"{ROOT}.pem", folder / f"{ROOT}.key"
    if not certificate.exists():
        private = ec.generate_private_key(ec.SECP256R1())
        name = _name("Proxmox Virtual Environment", str(uuid.uuid4()), "PVE Cluster Manager CA")
        signed = _builder(name, name, private, days=CA_DAYS, is_authority=True).sign(private, hashes.SHA256())
        records.write_text(key, _pem(private))
        records.write_text(certificate, signed.public_bytes(serialization.Encoding.PEM).decode())
    loaded = serialization.load_pem_private_key(key.read_bytes(), password=None)
    if not isinstance(loaded, ec.EllipticCurvePrivateKey):
        raise TypeError(f"{key} is no elliptic curve key")
    return _read(certificate).subject, loaded


def _builder(
    subject: x509.Name, issuer: x509.Name, key: Key, *, days: int, is_authority: bool
) -> x509.CertificateBuilder:
    now = dt.datetime.now(dt.UTC)
    constraints = x509.BasicConstraints(ca=is_authority, path_length=None)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(days=days))
        .add_extension(constraints, critical=True)
    )


def _name(common: str, unit: str, organisation: str) -> x509.Name:
    kinds = (NameOID.COMMON_NAME, NameOID.ORGANIZATIONAL_UNIT_NAME, NameOID.ORGANIZATION_NAME)
    values = (common, unit, organisation)
    return x509.Name([x509.NameAttribute(kind, value) for kind, value in zip(kinds, values, strict=True)])


def _pem(key: Key) -> str:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()


def _read(path: Path) -> x509.Certificate:
    return x509.load_pem_x509_certificate(path.read_bytes())


def _fingerprint(certificate: x509.Certificate) -> str:
    return certificate.fingerprint(hashes.SHA256()).hex(":").upper()


def _row(filename: str, certificate: x509.Certificate) -> dict[str, Any]:
    row: dict[str, Any] = {
        "filename": filename,
        "fingerprint": _fingerprint(certificate),
        "subject": _oneline(certificate.subject),
        "issuer": _oneline(certificate.issuer),
        "notbefore": int(certificate.not_valid_before_utc.timestamp()),
        "notafter": int(certificate.not_valid_after_utc.timestamp()),
        "public-key-type": "id-ecPublicKey",
        "public-key-bits": 256,
        "pem": certificate.public_bytes(serialization.Encoding.PEM).decode(),
        "san": [],
    }
    for extension in certificate.extensions:
        if isinstance(extension.value, x509.SubjectAlternativeName):
            row["san"] = [str(one.value) for one in extension.value]
    return row


def _oneline(name: x509.Name) -> str:
    """Write a name as OpenSSL does in one line, which is how the API shows it."""
    short = {
        NameOID.COMMON_NAME: "CN",
        NameOID.ORGANIZATIONAL_UNIT_NAME: "OU",
        NameOID.ORGANIZATION_NAME: "O",
    }
    return "".join(f"/{short.get(one.oid, one.oid.dotted_string)}={one.value!s}" for one in name)
