"""The certificate of a stack: made at the first start if the operator has none, and checked at each.

It runs once at a start (`oneshot`). The self-signed one lasts ten years: a fingerprint that people have
compared must not change by itself. Nothing verifies its names but browsers, which ask once anyway.
"""

import ipaddress
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from slipway.cli.terminal import say
from slipway.runtime.process.certificate import CertificateUnusable, read_certificate
from slipway.runtime.process.clock import now
from slipway.standalone.folders import DataFolder, write_whole

LIFETIME = timedelta(days=3650)
_CLOCK_SKEW = timedelta(days=1)
_LONGEST_COMMON_NAME = 64


async def prepare_certificate(*, data: str, own: Sequence[str] | None, names: Sequence[str]) -> None:
    """Check the operator's certificate and key, or make a self-signed pair where none is stored.

    Args:
        data: the data folder.
        own: the operator's two files; None without.
        names: host names and addresses that a self-signed one is for.
    """
    folder = DataFolder(Path(data))
    files = folder.tls_files if own is None else (Path(own[0]), Path(own[1]))
    if own is None and not all(file.exists() for file in files):
        certificate, key = self_signed(names)
        write_whole(files[1], key)
        write_whole(files[0], certificate)
        say(f"  a self-signed TLS certificate was made for {', '.join(names)}")
    _forget_half_issued(folder)
    read_certificate(*files)


def _forget_half_issued(folder: DataFolder) -> None:
    """Remove what a CA issued if it is no pair: a power cut came between its two files."""
    if all(file.exists() for file in folder.acme_files):
        try:
            read_certificate(*folder.acme_files)
        except CertificateUnusable as error:
            for file in folder.acme_files:
                file.unlink()
            say(f"  the certificate that a CA issued is asked for anew: {error}")


def self_signed(names: Sequence[str]) -> tuple[str, str]:
    """Make a certificate for some names and addresses, and its key; return both as PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name(
        [x509.NameAttribute(NameOID.COMMON_NAME, f"Slipway on {names[0]}"[:_LONGEST_COMMON_NAME])]
    )
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now() - _CLOCK_SKEW)
        .not_valid_after(now() + LIFETIME)
        .add_extension(x509.SubjectAlternativeName([_general_name(each) for each in names]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return certificate.public_bytes(serialization.Encoding.PEM).decode(), private.decode()


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name.encode("idna").decode())
