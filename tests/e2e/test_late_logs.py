"""A job log is whole after the bus has forgotten them."""

import secrets

import httpx
import nats

from slipway.contracts.job_logs import GetJobLog
from slipway.runtime.bus.client import Bus
from slipway.runtime.process.settings import ServiceSettings
from slipway.runtime.topology.declared import EVENTS
from support.stack import RunningStack, create, job_events
from support.waiting import until


async def test_job_log_outlives_the_bus(stack: RunningStack, api: httpx.AsyncClient) -> None:
    """With the job's events purged both are as before; the log resumes in its middle, ends with `done`."""
    accepted = await create(api, template="counting", hostname=f"late-{secrets.token_hex(3)}")
    job = accepted["job"]["id"]
    before = await job_events(api, job)
    log_before = (await api.get(f"/api/v1/jobs/{job}/log")).text
    await _until_stored(stack, job)
    left = await _purge(stack, job)

    log_after = (await api.get(f"/api/v1/jobs/{job}/log")).text
    after = await job_events(api, job)
    middle = before[len(before) // 2]
    resumed = await job_events(api, job, after=middle.id)

    assert left == 0
    assert "number 1999\n" in log_before
    assert log_after == log_before
    assert after == before
    assert after[-1].kind == "done"
    assert resumed == before[len(before) // 2 + 1 :]


async def _until_stored(stack: RunningStack, job: str) -> None:
    settings = ServiceSettings(
        nats_url=stack.endpoints["nats"], nats_nkey_file=stack.data / "identities" / "gateway.nk"
    )
    bus = Bus(settings, service="gateway")
    await bus.start()
    try:

        async def is_stored() -> bool:
            return (await bus.ask(GetJobLog(job=job))).is_stored

        await until(is_stored, within_seconds=30)
    finally:
        await bus.drain()


async def _purge(stack: RunningStack, job: str) -> int:
    """Take a job's events off the bus, as their age does; return how many are left."""
    subject = f"slipway.v1.event.job.{job}.>"
    key = stack.data / "identities" / "admin.nk"
    client = await nats.connect(stack.endpoints["nats"], nkeys_seed=str(key), inbox_prefix="_INBOX_admin")
    try:
        bus = client.jetstream()
        await bus.purge_stream(EVENTS, subject=subject)
        return len((await bus.stream_info(EVENTS, subjects_filter=subject)).state.subjects or {})
    finally:
        await client.close()
