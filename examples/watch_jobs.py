"""Print phases and ends of all jobs: what the bus still has, then what happens.

Usage: python3 watch_jobs.py nats://127.0.0.1:4222 KEY_FILE
"""

import asyncio
import sys

import nats

from slipway.contracts.job_events import JobDone, JobPhase


async def main(url: str, key_file: str) -> None:
    """Read events in their order until interrupted."""
    client = await nats.connect(url, nkeys_seed=key_file)
    events = await client.jetstream().subscribe(
        "slipway.v1.event.job.>", stream="EVENTS", ordered_consumer=True
    )
    async for message in events.messages:
        if message.subject.endswith(".phase"):
            phase = JobPhase.model_validate_json(message.data)
            print(phase.id, f"{phase.percent} %", phase.phase, phase.status, flush=True)
        elif message.subject.endswith(".done"):
            done = JobDone.model_validate_json(message.data)
            print(done.id, "is over:", done.state, done.error.message if done.error else "", flush=True)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
