"""`pct`, as the host's root runs it: exit codes and words as observed (PVE 9.2).

An error of Proxmox shares the numbers of the command's own exit code: 255, or 2 where a config is missing.
`push` and `pull` end with 0 even when they fail. Acts that are tasks in the API are tasks here too; `pct`
waits for them.
"""

import asyncio
import re
from collections.abc import Awaitable, Callable, Sequence

from slipway.lab.access.actors import ROOT_NAME, root
from slipway.lab.host import change, create, pending, power
from slipway.lab.host.configs import Config
from slipway.lab.host.machine import Machine
from slipway.lab.host.tasks import Body, Work
from slipway.lab.problems import Refused
from slipway.lab.schema.calls import CALLS, OPTIONS
from slipway.lab.schema.parameters import check
from slipway.lab.ssh import copies
from slipway.lab.ssh.attach import attach
from slipway.lab.ssh.streams import Streams

FAILED = 255
NO_CONFIG = 2
OK = 0


class Usage(Exception):
    """A command line that `pct` does not take."""


class Pct:
    """The program."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self._verbs: dict[str, Callable[[int, list[str], Streams], Awaitable[int]]] = {
            "create": self._create,
            "exec": self._exec,
            "push": self._push,
            "pull": self._pull,
            "set": self._set,
            "unlock": self._unlock,
            "destroy": self._destroy,
            "config": self._config,
            "pending": self._pending,
            "status": self._status,
            "start": self._start,
            "stop": self._stop,
            "shutdown": self._shutdown,
        }

    async def run(self, arguments: Sequence[str], streams: Streams) -> int:
        """Run one `pct` command."""
        await asyncio.sleep(self._machine.timings.pct_startup)
        try:
            return await self._run(list(arguments), streams)
        except Usage as error:
            await streams.err(f"{error}\npct <COMMAND> [ARGS] [OPTIONS]\n".encode())
            return FAILED
        except Refused as refused:
            faults = [f"{name}: {words}" for name, words in (refused.errors or {}).items()]
            status = f"{refused.status} " if faults else ""
            await streams.err("\n".join([f"{status}{refused.message}", *faults, ""]).encode())
            return NO_CONFIG if refused.message.startswith("Configuration file ") else FAILED

    async def _run(self, arguments: list[str], streams: Streams) -> int:
        if not arguments:
            raise Usage("ERROR: no command specified")
        verb, *rest = arguments
        if verb == "list":
            return await self._list(streams)
        if verb not in self._verbs:
            raise Usage(f"ERROR: unknown command 'pct {verb}'")
        if not rest or not re.fullmatch(r"[1-9]\d{2,8}", rest[0]):
            raise Usage(
                "400 not enough arguments"
                if not rest
                else "400 Parameter verification failed.\nvmid: type check"
            )
        return await self._verbs[verb](int(rest[0]), rest[1:], streams)

    async def _create(self, vmid: int, arguments: list[str], streams: Streams) -> int:
        if not arguments:
            raise Usage("400 not enough arguments")
        values = {"vmid": str(vmid), "ostemplate": arguments[0], **read_options(arguments[1:])}
        values["node"] = self._machine.node
        if errors := check(CALLS["POST /nodes/{node}/lxc"], values):
            raise Refused("Parameter verification failed.", status=400, errors=errors)
        upid = await create.create(self._machine, root(), values)
        await self._machine.tasks.end_of(upid)
        return await self._ended(self._machine.tasks.find(upid), streams)

    async def _exec(self, vmid: int, arguments: list[str], streams: Streams) -> int:
        if arguments[:1] == ["--keep-env"]:
            arguments = arguments[2:]
        argv = arguments[1:] if arguments[:1] == ["--"] else arguments
        if not argv:
            raise Usage("400 not enough arguments")
        self._machine.configs.get(vmid)
        if not self._machine.is_running(vmid):
            raise Refused(f"container '{vmid}' not running!")
        return await attach(self._machine, vmid, argv, streams)

    async def _push(self, vmid: int, arguments: list[str], streams: Streams) -> int:
        self._machine.configs.get(vmid)
        if not self._machine.is_running(vmid):
            raise Refused("can only push files to a running CT")
        return await copies.push(self._machine, vmid, arguments, streams)

    async def _pull(self, vmid: int, arguments: list[str], streams: Streams) -> int:
        self._machine.configs.get(vmid)
        if not self._machine.is_running(vmid):
            raise Refused("can only pull files from a running CT")
        return await copies.pull(self._machine, vmid, arguments, streams)

    async def _set(self, vmid: int, arguments: list[str], _streams: Streams) -> int:
        values = read_options(arguments)
        named = [name for name in ("delete", "revert") if name in values]
        removed, reverted = (values.pop(name, "").replace(",", " ").split() for name in ("delete", "revert"))
        digest = values.pop("digest", None)
        if errors := check(OPTIONS, values):
            raise Refused("Parameter verification failed.", status=400, errors=errors)
        if not values and not named:
            raise Refused("no options specified")
        request = change.Change(values=values, removed=removed, reverted=reverted, digest=digest)
        await change.change(self._machine, root(), vmid, request)
        return OK

    async def _unlock(self, vmid: int, _arguments: list[str], _streams: Streams) -> int:
        await change.unlock(self._machine, vmid)
        return OK

    async def _destroy(self, vmid: int, arguments: list[str], streams: Streams) -> int:
        forces = read_options(arguments).get("force", "0") == "1"
        change.check_destroyable(self._machine, vmid, forces=forces)
        return await self._task(
            "vzdestroy", vmid, change.destroying(self._machine, vmid, forces=forces), streams
        )

    async def _start(self, vmid: int, _arguments: list[str], streams: Streams) -> int:
        if self._machine.is_running(vmid):
            raise Refused(f"CT {vmid} already running")
        return await self._task("vzstart", vmid, power.starting(self._machine, vmid), streams)

    async def _stop(self, vmid: int, _arguments: list[str], streams: Streams) -> int:
        power.check_running(self._machine, vmid)
        return await self._task("vzstop", vmid, power.stopping(self._machine, vmid), streams)

    async def _shutdown(self, vmid: int, arguments: list[str], streams: Streams) -> int:
        power.check_running(self._machine, vmid)
        options = read_options(arguments)
        seconds, forces = float(options.get("timeout", "60")), options.get("forceStop") == "1"
        body = power.shutting_down(self._machine, vmid, seconds, forces=forces)
        return await self._task("vzshutdown", vmid, body, streams)

    async def _task(self, kind: str, vmid: int, body: Body, streams: Streams) -> int:
        return await self._ended(
            await self._machine.tasks.run_through(kind, str(vmid), ROOT_NAME, body), streams
        )

    async def _ended(self, work: Work, streams: Streams) -> int:
        status = work.exit_status or ""
        for line in work.lines[:-1]:
            await streams.out(f"{line}\n".encode())
        if status == "OK" or status.startswith("WARNINGS: "):
            return OK
        await streams.err(f"{status}\n".encode())
        return NO_CONFIG if status.startswith("Configuration file ") else FAILED

    async def _config(self, vmid: int, arguments: list[str], streams: Streams) -> int:
        config = self._machine.configs.get(vmid)
        if read_options(arguments).get("current") != "1":
            config = pending.merged(config, self._machine.configs.pending(vmid))
        await streams.out("".join(f"{key}: {_shown(config, key)}\n" for key in sorted(config)).encode())
        return OK

    async def _pending(self, vmid: int, _arguments: list[str], streams: Streams) -> int:
        config = self._machine.configs.get(vmid)
        lines = pending.lines(config, self._machine.configs.pending(vmid))
        await streams.out("".join(f"{line}\n" for line in lines).encode())
        return OK

    async def _status(self, vmid: int, _arguments: list[str], streams: Streams) -> int:
        self._machine.configs.get(vmid)
        await streams.out(f"status: {self._power(vmid)}\n".encode())
        return OK

    async def _list(self, streams: Streams) -> int:
        rows = [("VMID", "Status", "Lock", "Name")]
        for vmid in self._machine.configs.vmids():
            config = self._machine.configs.get(vmid)
            name = config.get("hostname", f"CT{vmid}")
            rows.append((str(vmid), self._power(vmid), config.get("lock", ""), name))
        if len(rows) > 1:
            lines = (f"{vmid:<10} {state:<10} {lock:<12} {name:<20}\n" for vmid, state, lock, name in rows)
            await streams.out("".join(lines).encode())
        return OK

    def _power(self, vmid: int) -> str:
        return "running" if self._machine.is_running(vmid) else "stopped"


def read_options(arguments: Sequence[str]) -> dict[str, str]:
    """Read `--name value`, `--name=value` and bare flags."""
    options: dict[str, str] = {}
    words = list(arguments)
    while words:
        word = words.pop(0)
        if not word.startswith("-"):
            raise Usage("400 too many arguments")
        name, separator, value = word.lstrip("-").partition("=")
        if not separator:
            is_flag = not words or words[0].startswith("--")
            value = "1" if is_flag else words.pop(0)
        options[name] = value
    return options


def _shown(config: Config, key: str) -> str:
    value = config[key]
    return value.replace("\n", "%0A") if key == "description" else value
