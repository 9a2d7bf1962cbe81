"""The gateway with TLS, as clients see it over the network."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes

from slipway.client.tls import NotTrusted, Trust
from slipway.client.transport import Transport
from slipway.runtime.process.metrics import render
from slipway.runtime.process.service import Service
from slipway.standalone.certificates import self_signed
from support.gateway_side import TOKEN
from support.waiting import until


def write_pair(folder: Path) -> str:
    """Write a new self-signed pair; return its fingerprint."""
    certificate, key = self_signed(["localhost", "127.0.0.1"])
    (folder / "certificate.pem").write_text(certificate)
    (folder / "key.pem").write_text(key)
    return x509.load_pem_x509_certificate(certificate.encode()).fingerprint(hashes.SHA256()).hex()


@pytest.fixture
def changes(tmp_path: Path) -> Mapping[str, Any]:
    """A certificate, and a free port."""
    write_pair(tmp_path)
    return {
        "tls_certificate_file": tmp_path / "certificate.pem",
        "tls_key_file": tmp_path / "key.pem",
        "https_host": "127.0.0.1",
        "https_port": 0,
    }


async def test_a_new_certificate_is_shown_without_a_restart(gateway: Service, tmp_path: Path) -> None:
    """Who has pinned the former one is refused, and who pins the new one is served."""
    url = f"https://127.0.0.1:{gateway.https_port}"
    pin = write_pair(tmp_path)

    async def is_shown() -> bool:
        try:
            async with Transport(url, TOKEN, Trust(fingerprint=pin)) as transport:
                return "version" in await transport.get("/version")
        except NotTrusted:
            return False

    assert await until(is_shown)


async def test_a_broken_certificate_changes_nothing(
    gateway: Service, anyone: httpx.AsyncClient, tmp_path: Path
) -> None:
    """What was shown before still is, readiness and metrics say why; a good pair ends the complaint."""

    async def complaint() -> str:
        return str((await anyone.get("/readyz")).json()["degraded"].get("certificate", ""))

    url = f"https://127.0.0.1:{gateway.https_port}"
    trust = Trust(ca_file=tmp_path / "ca.pem")
    (tmp_path / "ca.pem").write_bytes((tmp_path / "certificate.pem").read_bytes())
    (tmp_path / "key.pem").write_text("broken")

    assert "holds no private key" in await until(complaint)
    async with Transport(url, TOKEN, trust) as transport:
        assert "version" in await transport.get("/version")
    write_pair(tmp_path)
    await until(lambda: not gateway.shortages())
    assert 'slipway_certificate_loads_total{outcome="refused"}' in render().decode()


async def test_what_is_not_there_with_tls(gateway: Service) -> None:
    """Plain HTTP is told to use TLS; nobody gets metrics without a token, nor HSTS from a self-signed one."""
    url = f"127.0.0.1:{gateway.https_port}"
    async with httpx.AsyncClient(verify=False, trust_env=False) as client:  # noqa: S501 - any certificate
        assert (await client.get(f"https://{url}/metrics")).status_code == httpx.codes.FORBIDDEN
        assert "strict-transport-security" not in (await client.get(f"https://{url}/")).headers
        plain = await client.get(f"http://{url}/api/v1/version")
        assert (plain.status_code, plain.json()["code"]) == (httpx.codes.BAD_REQUEST, "tls.missing")
