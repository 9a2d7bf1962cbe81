"""Which pairs of files can be shown to clients."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from slipway.runtime.process.certificate import CertificateFiles, CertificateUnusable, read_certificate
from slipway.standalone.certificates import self_signed

ENCRYPTED = """-----BEGIN EC PRIVATE KEY-----
Proc-Type: 4,ENCRYPTED
DEK-Info: AES-256-CBC,4CAF2C6A3B2D1E0F4CAF2C6A3B2D1E0F

AAAA
-----END EC PRIVATE KEY-----
"""


@pytest.fixture
def pair(tmp_path: Path) -> tuple[Path, Path]:
    """A self-signed certificate and its key, as `slipway up` makes them."""
    files = (tmp_path / "certificate.pem", tmp_path / "key.pem")
    for file, text in zip(files, self_signed(["web.example", "192.0.2.7"]), strict=True):
        file.write_text(text)
    return files


def test_own_pair_can_be_used(pair: tuple[Path, Path]) -> None:
    """Its names and fingerprint are known; nobody is bound to it by HSTS, and readiness has no complaint."""
    files = CertificateFiles(*pair)

    assert files.certificate.names == ("web.example", "192.0.2.7")
    assert re.fullmatch(r"([0-9A-F]{2}:){31}[0-9A-F]{2}", files.certificate.fingerprint)
    assert (files.headers(), files.shortages()) == ([], {})


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda certificate, _key: certificate.write_text("x"), "holds no certificate"),
        (lambda certificate, _key: certificate.unlink(), "TLS_CERTIFICATE_FILE: can't read"),
        (lambda _certificate, key: key.write_text("x"), "holds no private key"),
        (lambda _certificate, key: key.unlink(), "TLS_KEY_FILE: can't read"),
        (lambda _certificate, key: key.write_text(self_signed(["x"])[1]), "does not belong"),
        (lambda _certificate, key: key.write_text(ENCRYPTED), "pass phrase"),
    ],
)
def test_what_is_no_pair_is_refused(
    pair: tuple[Path, Path], spoil: Callable[[Path, Path], None], reason: str
) -> None:
    """The message names the setting and the file, and what is wrong."""
    spoil(*pair)

    with pytest.raises(CertificateUnusable, match=reason):
        read_certificate(*pair)
