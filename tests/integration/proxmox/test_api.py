"""The HTTPS API against a real server: pins, logins, connections that break, what is logged."""

import asyncio
import json
import logging
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import pytest
from pydantic import SecretStr

from slipway.contracts.problems import Invalid
from slipway.proxmox import auth, wire
from slipway.proxmox.access import ApiAccess
from slipway.proxmox.api import ProxmoxApi
from slipway.proxmox.errors import (
    AccessRefused,
    AnswerLost,
    CertificateMismatch,
    NodeUnreachable,
    ProxmoxFailed,
    VmidTaken,
)
from slipway.proxmox.tls import scan_fingerprint
from support.https_server import RESET, SILENCE, Answer, HttpsServer, Request, Script, data, refusal

VERSION = {"version": "9.2.11", "release": "9.2"}
UPID = "UPID:pve1:000006AF:0002EAD7:6B03A7B0:vzstart:100:root@pam:"
SECRET = SecretStr("0b9e6f34-geheim")


@asynccontextmanager
async def api_of(
    folder: Path,
    script: Script,
    *,
    change: Callable[[HttpsServer], dict[str, object]] = lambda server: {
        "tls_fingerprint": server.fingerprint
    },
    timeout: timedelta = timedelta(seconds=5),
    workers: int = 1,
) -> AsyncIterator[tuple[ProxmoxApi, HttpsServer]]:
    """A server with these answers, and a client with a token for it."""
    token: dict[str, object] = {"token_id": "slipway@pve!api", "token_secret": SECRET}
    with HttpsServer(folder, script) as server:
        access = ApiAccess(endpoint=server.endpoint, **{**token, **change(server)})  # type: ignore[arg-type]  # cases
        api = ProxmoxApi(access, record=folder / "record", timeout=timeout, workers=workers)
        try:
            yield api, server
        finally:
            await api.aclose()


def password(server: HttpsServer) -> dict[str, object]:
    """Access by password in the token's place."""
    return {
        "token_id": None,
        "token_secret": None,
        "username": "root@pam",
        "password": SECRET,
        "tls_fingerprint": server.fingerprint,
    }


async def test_a_token_is_sent_to_the_pinned_server(tmp_path: Path) -> None:
    """The pin stands in for every other check."""
    async with api_of(tmp_path, lambda _: data(VERSION)) as (api, server):
        version = await api.version()

    assert version.major == 9
    assert (
        server.requests[0].headers["Authorization"]
        == f"PVEAPIToken=slipway@pve!api={SECRET.get_secret_value()}"
    )


@pytest.mark.parametrize(
    "pin",
    [
        pytest.param(lambda server: {"tls_fingerprint": server.fingerprint}, id="fingerprint"),
        pytest.param(
            lambda server: {"tls_fingerprint": server.fingerprint.replace(":", "").lower()}, id="plain"
        ),
        pytest.param(lambda server: {"ca": server.ca}, id="ca"),
    ],
)
async def test_a_server_is_known_by_its_pin_or_ca(
    tmp_path: Path, pin: Callable[[HttpsServer], dict[str, object]]
) -> None:
    """Fingerprints are written with or without colons."""
    async with api_of(tmp_path, lambda _: data(VERSION), change=pin) as (api, _):
        assert (await api.version()).version == "9.2.11"


@pytest.mark.parametrize(
    "pin",
    [
        pytest.param(lambda _: {"tls_fingerprint": "00" * 32}, id="fingerprint"),
        pytest.param(lambda _: {}, id="public CAs"),
    ],
)
@pytest.mark.parametrize(
    "login", [lambda _: {}, lambda server: {**password(server), "tls_fingerprint": None}]
)
async def test_nothing_is_sent_to_another_server(
    tmp_path: Path,
    pin: Callable[[HttpsServer], dict[str, object]],
    login: Callable[[HttpsServer], dict[str, object]],
) -> None:
    """Neither the token nor, at a login, the password."""
    async with api_of(
        tmp_path, lambda _: data(VERSION), change=lambda server: {**login(server), **pin(server)}
    ) as (
        api,
        server,
    ):
        with pytest.raises(CertificateMismatch):
            await api.version()

    assert server.requests == []


async def test_another_ca_is_not_believed(tmp_path: Path) -> None:
    """The CA in the access is the only one that counts."""
    (tmp_path / "other").mkdir()
    other = HttpsServer(tmp_path / "other", lambda _: data(VERSION))
    async with api_of(tmp_path, lambda _: data(VERSION), change=lambda _: {"ca": other.ca}) as (api, _):
        with other, pytest.raises(CertificateMismatch):
            await api.version()


async def test_a_certificate_can_be_asked_for(tmp_path: Path) -> None:
    """For a person to compare and pin; nothing is sent."""
    with HttpsServer(tmp_path, lambda _: data(VERSION)) as server:
        assert await scan_fingerprint(server.endpoint) == server.fingerprint

    assert server.requests == []
    with pytest.raises(NodeUnreachable):
        await scan_fingerprint(server.endpoint)


@pytest.mark.parametrize("ca", ["no PEM", "n\u00f3 PEM"])
def test_a_ca_that_is_none_is_refused(ca: str) -> None:
    """Before anything is sent."""
    access = ApiAccess(endpoint="https://x", token_id="a@pve!api", token_secret=SECRET, ca=ca)

    with pytest.raises(Invalid):
        ProxmoxApi(access)


async def test_one_connection_serves_many_requests(tmp_path: Path) -> None:
    """A new TLS connection costs forty milliseconds."""
    async with api_of(tmp_path, lambda _: data(VERSION)) as (api, server):
        for _ in range(5):
            await api.version()

    assert server.connections == 1


async def test_an_idle_connection_is_not_used_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The server may be closing it right now, and a request would be lost with it."""
    monkeypatch.setattr(wire, "IDLE_SECONDS", 0.0)
    async with api_of(tmp_path, lambda _: data(VERSION)) as (api, server):
        await api.version()
        await api.version()

    assert server.connections == 2


async def test_the_connection_that_was_used_last_is_used_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that asks every two seconds finds it open, however many there are."""
    monkeypatch.setattr(wire, "IDLE_SECONDS", 0.5)
    started = threading.Barrier(3)

    def script(request: Request) -> Answer:
        if request.path != "/version":
            started.wait(5)
        return data(VERSION if request.path == "/version" else [])

    async with api_of(tmp_path, script, workers=3) as (api, server):
        await asyncio.gather(*(api.cluster_status() for _ in range(3)))
        for _ in range(5):
            await asyncio.sleep(0.2)
            await api.version()

    assert server.connections == 3


async def test_as_many_requests_at_a_time_as_there_are_workers(tmp_path: Path) -> None:
    """Each worker has a connection of its own."""
    async with api_of(tmp_path, lambda _: data(VERSION), workers=3) as (api, server):
        await asyncio.gather(*(api.version() for _ in range(12)))

    assert server.connections <= 3


async def test_a_question_is_asked_again_when_the_connection_breaks(tmp_path: Path) -> None:
    """Once; a question changes nothing."""
    answers: Iterator[Answer | str] = iter([RESET, data(VERSION)])
    async with api_of(tmp_path, lambda _: next(answers)) as (api, server):
        assert (await api.version()).version == "9.2.11"

    assert len(server.requests) == 2


async def test_a_change_is_never_sent_twice(tmp_path: Path) -> None:
    """Its answer is lost; the caller has to look."""
    async with api_of(tmp_path, lambda _: RESET) as (api, server):
        with pytest.raises(AnswerLost):
            await api.start("pve1", 100)

    assert len(server.requests) == 1


@pytest.mark.parametrize("change", [True, False])
async def test_silence_ends_at_the_timeout(tmp_path: Path, *, change: bool) -> None:
    """A change may have taken effect, a question has none."""
    async with api_of(tmp_path, lambda _: SILENCE, timeout=timedelta(seconds=0.3)) as (api, server):
        with pytest.raises(AnswerLost if change else NodeUnreachable):
            await (api.start("pve1", 100) if change else api.version())

    assert len(server.requests) == 1


async def test_a_silent_node_keeps_nobody_from_asking_the_others(tmp_path: Path) -> None:
    """One node has half of the connections; what waits for one in vain was not sent."""

    def script(request: Request) -> Answer | str:
        return SILENCE if request.path.startswith("/nodes/away/") else data(VERSION)

    async with api_of(tmp_path, script, timeout=timedelta(seconds=2), workers=2) as (api, server):
        asking = [asyncio.create_task(api.networks("away")) for _ in range(3)]
        await asyncio.sleep(0)
        began = time.monotonic()
        answer = await api.version()
        took = time.monotonic() - began
        refused = await asyncio.gather(*asking, return_exceptions=True)

    assert answer.version == VERSION["version"]
    assert took < 1.9, "it waited for the silent node"
    assert all(isinstance(each, NodeUnreachable) for each in refused)
    assert len(server.requests) == 1 + len(asking)


async def test_a_change_that_found_no_server_had_no_effect(tmp_path: Path) -> None:
    """Hence the error is not that of a lost answer."""
    async with api_of(tmp_path, lambda _: RESET) as (api, server):
        server.stop()
        with pytest.raises(NodeUnreachable):
            await api.start("pve1", 100)


async def test_a_refusal_is_typed_and_the_message_is_whole(tmp_path: Path) -> None:
    """The body's message counts, not only the reason phrase."""
    taken = "CT 100 already exists on node 'pve1'"
    async with api_of(tmp_path, lambda _: refusal(500, taken)) as (api, _):
        with pytest.raises(VmidTaken) as caught:
            await api.create("pve1", {"vmid": 100, "unprivileged": True})

    assert (caught.value.message, caught.value.details["vmid"]) == (taken, "100")


@pytest.mark.parametrize(
    "answer", [Answer(body=b"<html>hello</html>"), Answer(status=302, headers={"Location": "/x"})]
)
async def test_what_is_not_proxmox_is_reported(tmp_path: Path, answer: Answer) -> None:
    """A router's page, or a redirect, which is never followed."""
    async with api_of(tmp_path, lambda _: answer) as (api, server):
        with pytest.raises(ProxmoxFailed, match="not the Proxmox API"):
            await api.version()

    assert len(server.requests) == 1


async def test_booleans_are_numbers_and_nothing_is_left_out(tmp_path: Path) -> None:
    """Proxmox refuses True; None is not sent."""
    async with api_of(tmp_path, lambda _: data(UPID)) as (api, server):
        await api.create("pve1", {"vmid": 100, "unprivileged": True, "onboot": False, "pool": None})

    assert server.requests[0].params == {"vmid": "100", "unprivileged": "1", "onboot": "0"}


async def test_parts_of_a_path_stay_parts(tmp_path: Path) -> None:
    """Whatever an id holds, it is one segment."""
    async with api_of(tmp_path, lambda _: data([])) as (api, server):
        await api.content("pve1", "a/b?c#d")
        with pytest.raises(ValueError, match="part of a path"):
            await api.content("pve1", "..")

    assert server.requests[0].raw_path == "/nodes/pve1/storage/a%2Fb%3Fc%23d/content"


class Login:
    """Answers like a node that hands out tickets; a ticket can be revoked."""

    def __init__(self) -> None:
        self.serial = 0
        self.passwords: list[str] = []
        self.valid = True

    def __call__(self, request: Request) -> Answer:
        """Log in, or answer a request with a valid ticket."""
        if request.path == "/access/ticket":
            self.passwords.append(request.params["password"])
            if not self.valid:
                return refusal(401, "authentication failure")
            self.serial += 1
            return data(
                {"ticket": f"PVE:root@pam:{self.serial}", "CSRFPreventionToken": f"csrf{self.serial}"}
            )
        expected = f"PVEAuthCookie=PVE%3Aroot%40pam%3A{self.serial}"
        if request.headers.get("Cookie") != expected:
            return Answer(status=401, reason="Authentication failed!", body=b"")
        if request.method != "GET" and request.headers.get("CSRFPreventionToken") != f"csrf{self.serial}":
            return Answer(status=401, reason="Permission denied - invalid csrf token", body=b"")
        return data(UPID if request.method == "POST" else VERSION)


async def test_one_login_serves_all_workers(tmp_path: Path) -> None:
    """Questions carry the ticket, changes the CSRF token too."""
    login = Login()
    async with api_of(tmp_path, login, change=password, workers=3) as (api, _):
        await asyncio.gather(*(api.version() for _ in range(6)))
        await api.start("pve1", 100)

    assert login.passwords == [SECRET.get_secret_value()]


async def test_a_ticket_is_renewed_with_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before it expires, without the password."""
    login = Login()
    async with api_of(tmp_path, login, change=password) as (api, _):
        await api.version()
        monkeypatch.setattr(auth, "RENEW_AFTER_SECONDS", 0.0)
        await api.version()

    assert login.passwords[1] == "PVE:root@pam:1"


async def test_after_a_long_silence_the_password_is_used_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The ticket has expired by then."""
    login = Login()
    async with api_of(tmp_path, login, change=password) as (api, _):
        await api.version()
        monkeypatch.setattr(auth, "RENEW_AFTER_SECONDS", 0.0)
        monkeypatch.setattr(auth, "EXPIRES_AFTER_SECONDS", 0.0)
        await api.version()

    assert login.passwords == [SECRET.get_secret_value()] * 2


async def test_a_ticket_that_the_node_forgot_is_replaced(tmp_path: Path) -> None:
    """A refused request had no effect, so even a change is sent again."""
    login = Login()
    async with api_of(tmp_path, login, change=password) as (api, _):
        await api.version()
        login.serial += 1
        await api.start("pve1", 100)

    assert len(login.passwords) == 2


async def test_a_refused_login_is_not_repeated(tmp_path: Path) -> None:
    """It costs three seconds on the node, and may lock the account."""
    login = Login()
    login.valid = False
    async with api_of(tmp_path, login, change=password) as (api, _):
        for _ in range(3):
            with pytest.raises(AccessRefused):
                await api.version()

    assert len(login.passwords) == 1


async def test_a_second_factor_is_refused_with_advice(tmp_path: Path) -> None:
    """Nobody is there to type it."""
    ticket = {"ticket": "PVE:!tfa!", "CSRFPreventionToken": "x", "NeedTFA": 1}
    async with api_of(tmp_path, lambda _: data(ticket), change=password) as (api, _):
        with pytest.raises(AccessRefused, match="API token"):
            await api.version()


async def test_requests_are_recorded_without_secrets(tmp_path: Path) -> None:
    """One line each, the login and lost answers included."""
    login = Login()

    def script(request: Request) -> Answer | str:
        return RESET if request.method == "DELETE" else login(request)

    async with api_of(tmp_path, script, change=password) as (api, _):
        await api.create("pve1", {"vmid": 100, "unprivileged": True, "password": SECRET.get_secret_value()})
        with pytest.raises(AnswerLost):
            await api.delete("pve1", 100)

    text = (tmp_path / "record").read_text()
    entries = [json.loads(line) for line in text.splitlines()]
    assert [(e["method"], e["path"], e["status"]) for e in entries] == [
        ("POST", "/access/ticket", 200),
        ("POST", "/nodes/pve1/lxc", 200),
        ("DELETE", "/nodes/pve1/lxc/100", None),
    ]
    assert SECRET.get_secret_value() not in text


async def test_no_secret_is_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Not even at DEBUG, where proxmoxer would write down what it sends."""
    caplog.set_level(logging.DEBUG)
    logging.getLogger("proxmoxer.core").setLevel(logging.DEBUG)
    async with api_of(tmp_path, Login(), change=password) as (api, _):
        await api.create("pve1", {"vmid": 100, "unprivileged": True, "password": SECRET.get_secret_value()})

    assert SECRET.get_secret_value() not in caplog.text


async def test_a_cancelled_call_leaves_its_worker_to_the_next(tmp_path: Path) -> None:
    """A worker counts as busy until its request has ended."""
    arrived, gate = threading.Event(), threading.Event()

    def slow(_: Request) -> Answer:
        arrived.set()
        gate.wait(10)
        return data(VERSION)

    async with api_of(tmp_path, slow) as (api, _):
        call = asyncio.create_task(api.version())
        await asyncio.to_thread(arrived.wait, 10)
        call.cancel()
        gate.set()
        assert (await api.version()).version == "9.2.11"

    assert call.cancelled()


async def test_answers_are_typed(tmp_path: Path) -> None:
    """One pass over the questions with the shapes that a node answers with."""
    shapes: dict[str, object] = {
        "/nodes": [{"node": "pve1", "status": "online", "type": "node"}],
        "/access/permissions": {"/": {"VM.Audit": 1, "Sys.Modify": 0}},
        "/nodes/pve1/network": [{"iface": "vmbr0", "type": "bridge"}, {"iface": "eth0", "type": "eth"}],
        "/cluster/resources": [
            {"type": "lxc", "vmid": 100, "node": "pve1", "status": "running"},
            {"type": "node", "node": "pve1", "status": "online"},
            {"type": "storage", "storage": "local", "node": "pve1"},
        ],
        "/nodes/pve1/lxc/100/interfaces": None,
        "/nodes/pve1/status": {"current-kernel": {"machine": "aarch64"}, "uptime": 1},
        "/nodes/pve1/aplinfo": [{"template": "debian-12.tar.zst", "package": "debian-12"}],
    }
    async with api_of(tmp_path, lambda request: data(shapes[request.path])) as (api, _):
        resources = await api.resources()

        assert [node.name for node in await api.nodes()] == ["pve1"]
        assert await api.permissions() == {"/": {"VM.Audit": True, "Sys.Modify": False}}
        assert [bridge.name for bridge in await api.networks("pve1")] == ["vmbr0"]
        assert ([guest.vmid for guest in resources.guests], len(resources.nodes)) == ([100], 1)
        assert await api.interfaces("pve1", 100) == ()
        assert (await api.node_status("pve1")).architecture == "arm64"
        assert [each.template for each in await api.appliances("pve1")] == ["debian-12.tar.zst"]


async def test_a_certificate_that_is_not_believed_ends_what_was_connected_before(tmp_path: Path) -> None:
    """Whether the server is believed does not depend on which connection a question happens to get."""
    both, go_on = threading.Barrier(2), threading.Event()

    def script(request: Request) -> Answer:
        both.wait(5) if request.path == "/version" else go_on.wait(5)
        return data(VERSION if request.path == "/version" else [])

    async with api_of(tmp_path, script, workers=3) as (api, server):
        await asyncio.gather(api.version(), api.version())
        server.renew()
        asked = [asyncio.create_task(api.cluster_status()) for _ in range(3)]
        with pytest.raises(CertificateMismatch):
            await next(asyncio.as_completed(asked))
        go_on.set()
        results = await asyncio.gather(*asked, return_exceptions=True)
        later = [await asyncio.gather(api.cluster_status(), return_exceptions=True) for _ in range(4)]

    assert sum(isinstance(each, CertificateMismatch) for each in results) == 1
    assert all(isinstance(each, CertificateMismatch) for (each,) in later)
