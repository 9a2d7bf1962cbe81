"""A cluster is reached as long as one of its nodes is, through its endpoint; no change is sent twice."""

import asyncio
import threading
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from slipway.lab.faults import ApiFrozen, CertificateRenewed, NodeDies
from slipway.lab.node import Lab
from slipway.proxmox.access import ApiAccess
from slipway.proxmox.api import ProxmoxApi
from slipway.proxmox.errors import AnswerLost, CertificateMismatch, NodeUnreachable
from slipway.proxmox.tls import scan_fingerprint
from support.https_server import RESET, Answer, HttpsServer, Request, data
from support.lab import running_lab


def access_to(lab: Lab, **changes: Any) -> ApiAccess:
    """Return how the lab is reached: by its first node, and by its others as they were learned."""
    options: dict[str, Any] = {
        "endpoint": lab.endpoint,
        "token_id": lab.token_id,
        "token_secret": SecretStr(lab.token_secret),
        "tls_fingerprint": lab.fingerprint,
        "members": tuple((lab.endpoints[name], lab.fingerprints[name]) for name in lab.names),
        "name": "home",
    }
    return ApiAccess(**(options | changes))


@asynccontextmanager
async def opened(access: ApiAccess, **options: Any) -> AsyncIterator[ProxmoxApi]:
    """Open an API for the block."""
    api = ProxmoxApi(access, **options)
    try:
        yield api
    finally:
        await api.aclose()


@pytest.fixture
async def lab(tmp_path: Path) -> AsyncIterator[Lab]:
    """A cluster of two nodes."""
    async with running_lab(tmp_path / "lab", name="pve1", nodes=2) as lab:
        yield lab


@pytest.mark.parametrize("outage", [NodeDies(node="pve1"), ApiFrozen(node="pve1")])
async def test_another_node_answers_while_the_first_one_does_not(
    lab: Lab, outage: NodeDies | ApiFrozen
) -> None:
    """Silence is noticed on a connection that is in use as well; which one answers is remembered."""
    async with opened(access_to(lab)) as api:
        await api.version()
        lab.faults.order(outage)

        began = time.monotonic()
        await asyncio.gather(*(api.cluster_status() for _ in range(12)))
        failed_over = time.monotonic()
        await api.cluster_status()
        again = time.monotonic()

    assert api.connection.last.access.endpoint == lab.endpoints["pve2"]
    assert failed_over - began < 12.0
    assert again - failed_over < 2.0


async def test_all_nodes_away_is_reported_in_time(lab: Lab) -> None:
    """Each is tried once; then it is the cluster that can't be reached."""
    lab.faults.order(NodeDies(node="*"))
    async with opened(access_to(lab)) as api:
        began = time.monotonic()
        with pytest.raises(NodeUnreachable, match="None of the cluster's 2 endpoints"):
            await api.version()

    assert time.monotonic() - began < 20.0


async def test_a_renewed_certificate_is_reported_with_what_accepts_it(lab: Lab) -> None:
    """Both fingerprints, and the very request; another node that is believed goes on answering."""
    lab.faults.order(CertificateRenewed(node="pve1"))
    shown = await scan_fingerprint(lab.endpoint)
    before = lab.fingerprints["pve2"]
    pinned = access_to(lab, tls_fingerprint=before, members=())
    async with opened(pinned) as alone, opened(access_to(lab, tls_fingerprint=before)) as any_node:
        with pytest.raises(CertificateMismatch) as caught:
            await alone.version()
        await any_node.version()

    assert caught.value.details | {} == {"endpoint": lab.endpoint, "shown": shown, "pinned": before}
    assert f'PUT /api/v1/clusters/home/access {{"tls_fingerprint": "{shown}"}}' in caught.value.message
    assert before in caught.value.message


async def test_a_ca_is_asked_about_every_node(lab: Lab) -> None:
    """A certificate that it has signed since then is believed; one by nobody is not."""
    access = access_to(lab, tls_fingerprint=None, ca=lab.certificate_authority)
    lab.faults.order(CertificateRenewed(node="pve1"))
    async with opened(access) as api:
        await api.version()
        assert api.connection.last.access.endpoint == lab.endpoint
        lab.faults.order(CertificateRenewed(node="pve1", signed_by="itself"))
        await api.version()
        assert api.connection.last.access.endpoint == lab.endpoints["pve2"]


def pair(first: HttpsServer, second: HttpsServer, **changes: Any) -> ApiAccess:
    """Return how two servers are reached as one cluster."""
    options: dict[str, Any] = {
        "endpoint": first.endpoint,
        "token_id": "slipway@pve!main",
        "token_secret": SecretStr("s3cret"),
        "tls_fingerprint": first.fingerprint,
        "others": (second.endpoint,),
        "believed": (second.fingerprint,),
    }
    return ApiAccess(**(options | changes))


async def test_a_change_whose_answer_is_lost_is_sent_nowhere_else(tmp_path: Path) -> None:
    """Whether it took effect is unknown; the next question goes to the other endpoint."""

    def cut(request: Request) -> Answer | str:
        return RESET if request.method != "GET" else data([])

    with HttpsServer(tmp_path, cut) as first, HttpsServer(tmp_path, lambda _: data([])) as second:
        async with opened(pair(first, second)) as api:
            with pytest.raises(AnswerLost):
                await api.set_config("pve1", 100, {"memory": 512})
            await api.nodes()

    assert [each.method for each in first.requests] == ["PUT"]
    assert [each.method for each in second.requests] == ["GET"]


async def test_a_change_that_never_left_is_sent_once(tmp_path: Path) -> None:
    """Nobody listens at the first endpoint, or somebody who is not believed."""
    with HttpsServer(tmp_path, lambda _: data(None)) as first:
        with HttpsServer(tmp_path, lambda _: data(None)) as second:
            closed = pair(first, second, endpoint="https://127.0.0.1:1")
            other = pair(first, second, tls_fingerprint=second.fingerprint, believed=())
            for access in (closed, other):
                async with opened(access) as api:
                    await api.set_config("pve1", 100, {"memory": 512})

        assert first.requests == []
        assert [each.method for each in second.requests] == ["PUT", "PUT"]


async def test_a_slow_question_is_waited_for_where_it_was_asked(tmp_path: Path) -> None:
    """The endpoint says its version meanwhile, so it is the question that takes long."""
    slow = threading.Event()

    def answer(request: Request) -> Answer | str:
        if request.path.endswith("/storage"):
            slow.wait(5.0)
        return data({"version": "9.2.11", "release": "9.2"} if request.path.endswith("/version") else [])

    with HttpsServer(tmp_path, answer) as first, HttpsServer(tmp_path, answer) as second:
        async with opened(pair(first, second)) as api:
            assert await api.storages("pve1") == ()

    assert second.requests == []


async def test_a_node_that_is_away_is_not_its_endpoints_outage(tmp_path: Path) -> None:
    """What the endpoint says of another node counts; nobody else is asked the same again."""
    away = Answer(status=595, reason="No route to host", body=b"")
    with HttpsServer(tmp_path, lambda _: away) as first:
        with HttpsServer(tmp_path, lambda _: data([])) as second:
            async with opened(pair(first, second)) as api:
                with pytest.raises(NodeUnreachable):
                    await api.storages("pve2")

        assert second.requests == []
