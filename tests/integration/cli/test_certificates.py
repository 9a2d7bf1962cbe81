"""The client of the HTTP API over TLS."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from slipway.client.tls import NotTrusted, Trust
from slipway.client.transport import Transport
from slipway.runtime.process.certificate import read_certificate
from slipway.standalone.certificates import prepare_certificate, self_signed
from slipway.standalone.embedded.process import account_for
from slipway.standalone.embedded.shared import services_folder
from slipway.standalone.folders import DataFolder
from slipway.standalone.tls import HandedCertificate
from support.https_server import Answer, HttpsServer
from support.lab import running_lab
from support.stack import stack_folder


@pytest.mark.parametrize("scheme", ["https", "HTTPS"])
async def test_unknown_certificate_is_refused(tmp_path: Path, scheme: str) -> None:
    """The token goes to nobody whose certificate the machine does not trust."""
    async with running_lab(tmp_path) as lab:
        url = lab.endpoint.replace("https", scheme)

        with pytest.raises(NotTrusted, match="SLIPWAY_TLS_FINGERPRINT"):
            async with Transport(url, "the-token") as transport:
                await transport.get("version")


async def test_the_pinned_certificate_is_trusted_and_no_other(tmp_path: Path) -> None:
    """The fingerprint alone decides; a wrong one is refused with both, before the token is sent."""
    with HttpsServer(tmp_path, lambda _request: Answer(body={"version": "1"})) as server:
        former = server.fingerprint
        async with Transport(server.endpoint, "the-token", Trust(fingerprint=former.lower())) as transport:
            assert await transport.get("/version") == {"version": "1"}
        server.renew()

        with pytest.raises(NotTrusted) as refused:
            async with Transport(server.endpoint, "the-token", Trust(fingerprint=former)) as transport:
                await transport.get("/version")

    assert former in str(refused.value)
    assert server.fingerprint in str(refused.value)
    assert len(server.requests) == 1


async def test_a_ca_of_ones_own_is_trusted(tmp_path: Path) -> None:
    """What a file's CA has signed is accepted for its names."""
    with HttpsServer(tmp_path, lambda _request: Answer(body={"version": "1"})) as server:
        (tmp_path / "ca.pem").write_text(server.ca)
        async with Transport(server.endpoint, "the-token", Trust(ca_file=tmp_path / "ca.pem")) as transport:
            assert await transport.get("/version") == {"version": "1"}


@pytest.mark.parametrize(
    ("url", "trust", "reason"),
    [
        ("http://127.0.0.1:1", Trust(fingerprint="AA:" * 31 + "AA"), "without TLS"),
        ("https://127.0.0.1:1", Trust(fingerprint="AA:BB"), "32 pairs"),
        ("https://127.0.0.1:1", Trust(ca_file=Path("/no/such/file")), "can't read"),
    ],
)
def test_what_could_not_be_checked_is_refused(url: str, trust: Trust, reason: str) -> None:
    """Nobody believes in a check that is not made."""
    with pytest.raises(NotTrusted, match=reason):
        Transport(url, "the-token", trust)


@pytest.fixture
def folder() -> Iterator[DataFolder]:
    """A data folder in which the gateway has its own one."""
    with stack_folder() as data:
        folder = DataFolder(data)
        folder.take().close()
        (services_folder(data, account_for(data)) / "gateway").mkdir()
        yield folder


async def test_half_of_an_issued_pair_is_not_shown(folder: DataFolder) -> None:
    """After a power cut between its files a start shows the self-signed one, and a CA is asked again."""
    folder.acme_files[0].write_text(self_signed(["before.example.org"])[0])
    folder.acme_files[1].write_text(self_signed(["after.example.org"])[1])

    await prepare_certificate(data=str(folder.path), own=None, names=["localhost"])
    handed = HandedCertificate(folder, None, has_acme=True)
    handed.copy()

    assert read_certificate(*handed.copies).names == ("localhost",)


def test_comments_in_any_encoding(folder: DataFolder) -> None:
    """`openssl x509 -text` writes the names of the certificate before it as they are."""
    certificate, key = self_signed(["localhost"])
    own = (folder.path / "own.pem", folder.path / "own.key")
    own[0].write_bytes("Issuer: L = Zürich\n".encode("latin-1") + certificate.encode())
    own[1].write_text(key)
    handed = HandedCertificate(folder, own)

    handed.copy()

    assert read_certificate(*handed.copies).fingerprint == handed.fingerprint()
