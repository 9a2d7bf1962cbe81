"""What a creation costs beyond the host's own work, and how soon its events are seen."""

import secrets
from datetime import UTC, datetime
from typing import Any

import httpx
import nats
from nats.aio.msg import Msg

from bench.table import Row, percentile
from slipway.client.sse import ServerEvent, read_events
from slipway.contracts.message import Moment
from support.stack import RunningStack, create

CREATIONS = 10


async def measured(stack: RunningStack) -> list[Row]:
    """Create containers one after the other, and look at their job logs."""
    seen = Seen()
    connection = await nats.connect(stack.endpoints["nats"], nkeys_seed=stack.endpoints["nats_nkey_file"])
    await connection.subscribe("slipway.live.slipway.v1.event.job.*.step", cb=seen.on_the_bus)
    await connection.flush()
    job_logs = []
    async with stack.client() as api:
        for _ in range(CREATIONS):
            body = {"template": "debian-base", "hostname": f"bench-{secrets.token_hex(4)}"}
            job = (await create(api, **body))["job"]["id"]
            job_logs.append(await _followed(api, job, seen))
    await connection.close()
    return [*seen.rows(), _begun(job_logs), _overhead(job_logs)]


class Seen:
    """When events were seen over SSE, and on the bus itself."""

    def __init__(self) -> None:
        self.stream: list[float] = []
        self.bus: list[float] = []

    async def on_the_bus(self, message: Msg) -> None:
        """Note how old an event is when a subscriber gets it."""
        text = message.data.decode()
        at = text.rpartition('"at":"')[2].partition('"')[0]
        self.bus.append(_age_ms(datetime.fromisoformat(at)))

    def on_the_stream(self, event: ServerEvent) -> None:
        """Note how old an event is when a viewer gets it."""
        self.stream.append(_age_ms(datetime.fromisoformat(event.content["at"])))

    def rows(self) -> list[Row]:
        """Return the latencies, from the provisioner's clock before it writes."""
        rows = []
        for share, name in ((0.5, "p50"), (0.99, "p99")):
            mine, peer = percentile(self.stream, share), percentile(self.bus, share)
            comparison = f"a plain NATS subscriber {peer:.1f} ms; ratio {mine / peer:.2f}"
            rows.append(
                Row(f"event latency, provisioner to SSE client, {name}", f"{mine:.1f} ms", comparison)
            )
        return rows


async def _followed(api: httpx.AsyncClient, job: str, seen: Seen) -> list[dict[str, Any]]:
    events = []
    async with api.stream("GET", f"/api/v1/jobs/{job}/events") as answer:
        is_live = False
        async for event in read_events(answer):
            # What was there before the viewer came is a replay, not a latency.
            is_live = is_live or event.kind == "phase"
            if event.kind == "step" and is_live:
                seen.on_the_stream(event)
            events.append({"kind": event.kind, **event.content})
            if event.kind == "done":
                break
    return events


def _begun(job_logs: list[list[dict[str, Any]]]) -> Row:
    delays = [_seconds(events[0]["at"], events[1]["at"]) * 1000 for events in job_logs]
    return Row(
        "accepted to started (202's fact to the first phase), p50",
        f"{percentile(delays, 0.5):.0f} ms",
        f"p90 {percentile(delays, 0.9):.0f} ms; outbox, command, claim, access, secrets, bundle",
    )


def _overhead(job_logs: list[list[dict[str, Any]]]) -> Row:
    shares, spent = [], []
    for events in job_logs:
        whole = _seconds(events[1]["at"], events[-1]["at"])
        steps = sum(each["seconds"] for each in events if each["kind"] == "step" and each["seconds"])
        spent.append((whole - steps) * 1000)
        shares.append((whole - steps) / whole)
    return Row(
        "provisioning overhead (job time minus time within steps on host and guest), p50",
        f"{percentile(spent, 0.5):.0f} ms",
        f"{percentile(shares, 0.5):.0%} of a job on simulated guests",
    )


def _age_ms(at: Moment) -> float:
    return (datetime.now(UTC) - at).total_seconds() * 1000


def _seconds(begin: str, end: str) -> float:
    return (datetime.fromisoformat(end) - datetime.fromisoformat(begin)).total_seconds()
