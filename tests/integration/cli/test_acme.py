"""A certificate from a real ACME server: pebble, with pebble-challtestsrv as the DNS it asks."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from slipway.cli.errors import CommandFailed
from slipway.runtime.process.certificate import read_certificate
from slipway.standalone.acme import renew_certificate
from slipway.standalone.certificates import self_signed
from slipway.standalone.embedded.ports import free_port
from slipway.standalone.folders import DataFolder
from support.clients import http_client
from support.waiting import until

pytestmark = pytest.mark.acme
NAMES = ["slipway.example.org", "www.slipway.example.org"]
HOOK = """\
import json, sys, urllib.request
verb, name, value = sys.argv[1:]
record = {{"host": name + ".", "value": value}}
path = {{"present": "set-txt", "remove": "clear-txt"}}[verb]
urllib.request.urlopen("http://127.0.0.1:{port}/" + path, json.dumps(record).encode(), timeout=20)
print(verb, name, file=open({log!r}, "a"))
"""


@dataclass(frozen=True, slots=True)
class Ca:
    """A running CA."""

    dns_port: int
    """Of the management of its DNS."""
    folder: DataFolder


@pytest.fixture
def ca(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Ca]:
    """A CA that comes for HTTP-01 to this machine, whatever the name; and an empty data folder."""
    if not (shutil.which("pebble") and shutil.which("pebble-challtestsrv")):
        pytest.skip("no pebble on PATH; Debian has it as a package")
    api, dns, dns_management, http = (free_port() for _ in range(4))
    files = (tmp_path / "pebble.pem", tmp_path / "pebble.key")
    for file, text in zip(files, self_signed(["127.0.0.1"]), strict=True):
        file.write_text(text)
    settings = {
        "listenAddress": f"127.0.0.1:{api}",
        "managementListenAddress": f"127.0.0.1:{free_port()}",
        "certificate": str(files[0]),
        "privateKey": str(files[1]),
        "httpPort": http,
        "tlsPort": free_port(),
    }
    (tmp_path / "pebble.json").write_text(json.dumps({"pebble": settings}))
    off = [f"-{each}=" for each in ("http01", "https01", "tlsalpn01", "defaultIPv6")]
    commands = (
        ["pebble-challtestsrv", f"-dns01=127.0.0.1:{dns}", f"-management=127.0.0.1:{dns_management}", *off],
        ["pebble", "-config", str(tmp_path / "pebble.json"), "-dnsserver", f"127.0.0.1:{dns}"],
    )
    environment = {**os.environ, "PEBBLE_VA_NOSLEEP": "1", "PEBBLE_WFE_NONCEREJECT": "0"}
    monkeypatch.setenv("SLIPWAY_ACME_DIRECTORY", f"https://127.0.0.1:{api}/dir")
    monkeypatch.setenv("SLIPWAY_ACME_CA_FILE", str(files[0]))
    monkeypatch.setenv("SLIPWAY_ACME_HTTP_PORT", str(http))
    folder = DataFolder(tmp_path / "data")
    with folder.take(), (tmp_path / "pebble.log").open("w") as log:
        servers = [subprocess.Popen(each, stdout=log, stderr=log, env=environment) for each in commands]
        try:
            yield Ca(dns_management, folder)
        finally:
            for server in servers:
                server.kill()
                server.wait()


async def ready() -> None:
    """Wait until the CA answers."""

    async def answers() -> bool:
        try:
            return (await client.get(os.environ["SLIPWAY_ACME_DIRECTORY"])).is_success
        except httpx.TransportError:
            return False

    async with http_client(verify=False) as client:
        await until(answers)


async def test_issued_over_http_and_not_again(ca: Ca) -> None:
    """It is for all names; while it is good for long and the names are those, none is asked for."""
    await ready()
    await renew_certificate(data=str(ca.folder.path), names=NAMES)
    first = read_certificate(*ca.folder.acme_files)
    await renew_certificate(data=str(ca.folder.path), names=NAMES)
    second = read_certificate(*ca.folder.acme_files)
    await renew_certificate(data=str(ca.folder.path), names=NAMES[:1])

    assert set(first.names) == set(NAMES)
    assert not first.is_self_signed
    assert second == first
    assert read_certificate(*ca.folder.acme_files).names == (NAMES[0],)


async def test_issued_over_dns(ca: Ca, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The operator's command puts each record there and takes it away; so names with * are possible."""
    log, hook = tmp_path / "hook.log", tmp_path / "hook.py"
    hook.write_text(HOOK.format(port=ca.dns_port, log=str(log)))
    monkeypatch.setenv("SLIPWAY_ACME_DNS_HOOK", f"{sys.executable} {hook}")
    await ready()
    await renew_certificate(data=str(ca.folder.path), names=["*.example.org"])

    record = "_acme-challenge.example.org"
    assert read_certificate(*ca.folder.acme_files).names == ("*.example.org",)
    assert log.read_text().splitlines() == [f"present {record}", f"remove {record}"]


@pytest.mark.parametrize(
    ("hook", "reason"), [("true", "slipway.example.org .dns-01.: "), ("false", "ended with status 1")]
)
async def test_what_is_not_shown_is_not_issued(
    ca: Ca, monkeypatch: pytest.MonkeyPatch, hook: str, reason: str
) -> None:
    """The failure says for which name and why; nothing is stored."""
    monkeypatch.setenv("SLIPWAY_ACME_DNS_HOOK", hook)
    await ready()

    with pytest.raises(CommandFailed, match=reason):
        await renew_certificate(data=str(ca.folder.path), names=NAMES[:1])

    assert not ca.folder.acme_files[0].exists()
