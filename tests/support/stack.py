"""A whole Slipway for tests: `slipway up --lab` as a process of its own, reached as anyone reaches it."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from slipway.client.sse import ServerEvent, follow
from slipway.standalone.embedded.shared import remove_place
from support.clients import http_client
from support.folders import open_folder
from support.waiting import lives

START_SECONDS = 100.0
STOP_SECONDS = 12.0
SOON_TAKEN_OVER = {"SLIPWAY_ACK_WAIT": "4", "SLIPWAY_HEARTBEAT": "1"}
"""A killed worker's job is taken up after four seconds; the default is twelve."""
SLIPWAY = (sys.executable, "-m", "slipway.cli")
JOB_SECONDS = 100.0
"""Below the time that a test has, so that a job log without an end says what it was."""


class RunningStack:
    """A running `slipway up`, its data folder, and what `endpoints.json` says."""

    def __init__(
        self, data: Path, process: "subprocess.Popen[bytes]", environment: Mapping[str, str]
    ) -> None:
        self.data = data
        self.process = process
        self.environment = environment
        """With which it was started."""

    @property
    def endpoints(self) -> dict[str, Any]:
        """Read anew: it is rewritten when a process is restarted."""
        endpoints: dict[str, Any] = json.loads((self.data / "run" / "endpoints.json").read_text())
        return endpoints

    @property
    def token(self) -> str:
        """The first user's bearer token."""
        return Path(self.endpoints["bootstrap_token_file"]).read_text().strip()

    @property
    def record(self) -> Path:
        """Every request to Proxmox, a JSON line each."""
        return self.data.parent / "proxmox.jsonl"

    def database_url(self, service: str) -> str:
        """Return the URL of a service's database, with its role's password."""
        secrets = (self.data / "services").resolve().parent
        return next(secrets.rglob(f"{service}/database-url")).read_text().strip()

    @property
    def database_url_of_admin(self) -> str:
        """The URL of the same database, with the administrator's password."""
        password = ((self.data / "postgres").resolve() / "admin-password").read_text().strip()
        return f"postgresql://postgres:{password}@{self.database_url('inventory').rpartition('@')[2]}"

    def client(self, token: str | None = None) -> httpx.AsyncClient:
        """Make an HTTP client; with the right token unless another one is given."""
        shown = self.token if token is None else token
        headers = {"Authorization": f"Bearer {shown}"} if shown else {}
        return http_client(base_url=self.endpoints["http"], headers=headers, timeout=40)

    def stop(self) -> float:
        """Stop it as an operator does; how long it took."""
        began = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(STOP_SECONDS)
        return time.monotonic() - began


@contextmanager
def running_stack(
    *arguments: str, data: Path, program: Sequence[str] = SLIPWAY, **environment: str
) -> Iterator[RunningStack]:
    """Run `slipway up` on a data folder until the block ends."""
    command = [*program, "up", "--data", str(data), "--port", "0", *arguments]
    whole = {**os.environ, "SLIPWAY_PROXMOX_RECORD": str(data.parent / "proxmox.jsonl"), **environment}
    with (data.parent / "up.log").open("ab") as output:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, env=whole
        )
    stack = RunningStack(data, process, whole)
    try:
        _wait(stack)
        yield stack
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


@contextmanager
def stack_folder() -> Iterator[Path]:
    """Make a data folder's place, and remove all that came to be there, also below `/var/lib/slipway`."""
    with open_folder("stack") as folder:
        try:
            yield folder / "data"
        finally:
            remove_place(folder / "data")


async def job_events(client: httpx.AsyncClient, job: str, *, after: str | None = None) -> list[ServerEvent]:
    """Follow a job to its end; its events after one. A job without an end is reported as it stands.

    Parts that are away are sent to every viewer (`outage`): they are none of the job's events.
    """
    events: list[ServerEvent] = []
    try:
        async with asyncio.timeout(JOB_SECONDS):
            async for event in follow(client, f"/api/v1/jobs/{job}/events", last_event_id=after):
                if event.kind != "outage":
                    events.append(event)  # noqa: PERF401  what came before a timeout is reported
    except TimeoutError:
        texts = [event.text for event in events[-5:]]
        stands = (await client.get(f"/api/v1/jobs/{job}")).text
        pytest.fail(f"the job_log of job {job} has no end; its last events: {texts}; the job: {stands}")
    return events


async def create(client: httpx.AsyncClient, **body: Any) -> dict[str, Any]:
    """Ask for a container; the 202's content."""
    answer = await client.post("/api/v1/containers", json=body)
    assert answer.status_code == httpx.codes.ACCEPTED, answer.text
    accepted: dict[str, Any] = answer.json()
    return accepted


async def done(api: httpx.AsyncClient, path: str, body: dict[str, Any] | None = None) -> list[ServerEvent]:
    """Ask for a job and follow it to its end."""
    answer = await api.post(f"/api/v1/{path}", json=body)
    assert answer.status_code == httpx.codes.ACCEPTED, answer.text
    assert answer.headers["location"] == f"/api/v1/jobs/{answer.json()['job']['id']}"
    events = await job_events(api, answer.json()["job"]["id"])
    assert events[-1].content["state"] == "succeeded", events[-1].text
    return events


def messages(events: list[ServerEvent]) -> list[str | None]:
    """Return the steps' messages at their ends."""
    steps = (event.content for event in events if event.kind == "step")
    return [each["message"] for each in steps if each["status"] != "started"]


def _wait(stack: RunningStack) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not _is_ready(stack):
        ended = stack.process.poll() is not None
        output = (stack.data.parent / "up.log").read_text(errors="replace")[-6000:]
        assert not ended, f"`slipway up` ended:\n{output}"
        assert time.monotonic() < deadline, f"`slipway up` is not ready in time:\n{output}"
        time.sleep(0.05)


def _is_ready(stack: RunningStack) -> bool:
    """Whether the file is there, and not one that a killed stack left."""
    path = stack.data / "run" / "endpoints.json"
    return path.exists() and all(lives(pid) for pid in stack.endpoints["pids"].values())
