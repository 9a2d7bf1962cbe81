"""Tasks: workers that run beside the API, with their names, logs and ends.

Theory of operation. A worker is an asyncio task that writes lines to its `Work` and either returns (`OK`, or
`WARNINGS: n`), raises (`Refused` or `GuestError`: its words are the exit status), is stopped (its body sees a
cancellation, cleans up and says that it was interrupted) or is killed (nothing of its body runs any more:
`unexpected status`, the last line of the log is whatever it had got to, the container stays as it was).
Each task is a file in the data folder, written when it starts and when it ends; the oldest are forgotten.
Tasks whose file has no end ran when the lab died and count as killed, as on a rebooted node.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

from slipway.lab.guests.protocol import GuestError
from slipway.lab.host import records, upids
from slipway.lab.host.condition import Condition
from slipway.lab.host.upids import Upid
from slipway.lab.problems import Refused, bad_parameters

LOST = "unexpected status"
MOST_TASKS = 1000


class Interrupted(Exception):
    """The worker was asked to stop; raised by a body that has cleaned up."""


@dataclass(slots=True, kw_only=True)
class Work:
    """One task, running or ended."""

    upid: Upid
    lines: list[str] = field(default_factory=list)
    warnings: int = 0
    exit_status: str | None = None
    ended: int | None = None
    is_killed: bool = False

    def log(self, line: str) -> None:
        """Write a line."""
        self.lines.append(line)

    def warn(self, line: str) -> None:
        """Write a warning; the task will end with `WARNINGS`, which is a success."""
        self.warnings += 1
        self.lines.append(f"WARN: {line}")

    @property
    def is_running(self) -> bool:
        """Whether it has not ended."""
        return self.exit_status is None

    def describe(self) -> tuple[str, str]:
        """Return its type and the id of what it is about."""
        return self.upid.type, self.upid.id


Body = Callable[[Work], Awaitable[None]]


class Tasks:
    """All tasks of the node."""

    def __init__(self, folder: Path, condition: Condition) -> None:
        self._folder = folder
        self._condition = condition
        self._faults = condition.faults
        self._works: dict[str, Work] = {}
        self._runners: dict[str, asyncio.Task[None]] = {}
        self._pid = 1000
        self._began = time.monotonic() - 1000.0

    def load(self) -> None:
        """Take over what a predecessor left."""
        for path in sorted(self._folder.glob("*.json")):
            record = records.read_json(path)
            upid = upids.parse(record["upid"])
            status = record["status"] or LOST
            self._works[record["upid"]] = Work(
                upid=upid,
                lines=record["lines"],
                exit_status=status,
                ended=record["ended"] or upid.starttime,
            )
            self._pid = max(self._pid, upid.pid)

    async def close(self) -> None:
        """Kill all workers, as a node that loses power does."""
        for name in list(self._runners):
            self.kill(name)
        await asyncio.gather(*self._runners.values(), return_exceptions=True)

    def all(self) -> list[Work]:
        """Return all tasks, newest first."""
        return sorted(self._works.values(), key=lambda one: (one.upid.starttime, one.upid.pid), reverse=True)

    def find(self, name: str) -> Work:
        """Look a task up; refuse as Proxmox does if it is unknown here."""
        if upids.parse(name).node != self._condition.name or name not in self._works:
            raise bad_parameters({"upid": "no such task"})
        return self._works[name]

    def log_of(self, name: str) -> list[str]:
        """Read a log; an unknown task's has one line saying so (PVE 9.2, recorded)."""
        upids.parse(name)
        work = self._works.get(name)
        return work.lines if work else ["unable to open file - No such file or directory"]

    def start(self, kind: str, subject: str, actor: str, body: Body) -> str:
        """Start a worker and give its name."""
        self._pid += 1
        upid = Upid(
            node=self._condition.name,
            pid=self._pid,
            pstart=int((time.monotonic() - self._began) * 100) & 0xFFFFFFFF,
            starttime=int(self._condition.now()),
            type=kind,
            id=subject,
            actor=actor,
        )
        work = Work(upid=upid)
        self._works[str(upid)] = work
        runner = asyncio.create_task(self._run(work, body), name=str(upid))
        self._runners[str(upid)] = runner
        runner.add_done_callback(lambda _: self._runners.pop(str(upid), None))
        self._save(work)
        return str(upid)

    async def run_through(self, kind: str, subject: str, actor: str, body: Body) -> Work:
        """Start a worker and wait for its end, as `pct` does."""
        name = self.start(kind, subject, actor, body)
        await asyncio.gather(self._runners[name], return_exceptions=True)
        return self._works[name]

    async def end_of(self, name: str) -> str:
        """Wait for a worker's end; give how it ended."""
        if runner := self._runners.get(name):
            await asyncio.wait([runner])
        return self.find(name).exit_status or LOST

    async def stop(self, name: str) -> None:
        """Ask a worker to stop and wait a moment; nothing happens if it has ended."""
        self.find(name)
        if runner := self._runners.get(name):
            runner.cancel()
            await asyncio.sleep(self._condition.timings.stop_task)

    def kill(self, name: str) -> None:
        """Kill a worker: nothing more of it runs."""
        if runner := self._runners.get(name):
            self._works[name].is_killed = True
            runner.cancel()

    def running(self, kind: str, subject: str) -> list[str]:
        """Return the names of the running tasks of a kind for a container."""
        return [
            str(one.upid)
            for one in self._works.values()
            if one.is_running and (one.upid.type, one.upid.id) == (kind, subject)
        ]

    async def _run(self, work: Work, body: Body) -> None:
        status = await self._end_of(work, body)
        if status != LOST:
            work.log(_last_line(status))
        work.exit_status = status
        work.ended = int(self._condition.now())
        self._save(work)
        self._prune()

    async def _end_of(self, work: Work, body: Body) -> str:
        try:
            await self._faults.at_task("begin", work)
            await body(work)
            await self._faults.at_task("end", work)
        except (Refused, GuestError) as error:
            return str(error).rstrip("\n").replace("\n", " ")
        except Interrupted as error:
            return f"{error} failed: received interrupt" if str(error) else "received interrupt"
        except asyncio.CancelledError:
            return LOST if work.is_killed else "received interrupt"
        return f"WARNINGS: {work.warnings}" if work.warnings else "OK"

    def _save(self, work: Work) -> None:
        record = {
            "upid": str(work.upid),
            "status": work.exit_status,
            "ended": work.ended,
            "lines": work.lines,
        }
        records.write_json(self._path(work), record)

    def _prune(self) -> None:
        while len(self._works) > MOST_TASKS:
            oldest = next(iter(self._works))
            if self._works[oldest].is_running:
                return
            self._path(self._works.pop(oldest)).unlink(missing_ok=True)

    def _path(self, work: Work) -> Path:
        return self._folder / f"{work.upid.starttime:08X}-{work.upid.pid:08X}.json"


def _last_line(status: str) -> str:
    if status == "OK":
        return "TASK OK"
    return f"TASK {status}" if status.startswith("WARNINGS: ") else f"TASK ERROR: {status}"
