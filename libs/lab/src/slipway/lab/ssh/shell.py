"""Root's shell on the pretend host: just enough of bash to run `pct`.

The host is not the machine under the lab: no program of that machine can be reached from here, and an
unknown command is answered with bash's words and 127.
"""

import re
from collections.abc import Awaitable, Callable, Sequence

from slipway.lab.host.machine import Machine
from slipway.lab.ssh import files, paths
from slipway.lab.ssh.pct import Pct
from slipway.lab.ssh.streams import Redirected, Streams
from slipway.lab.ssh.words import BadLine, Command, parse

Builtin = Callable[[Sequence[str], Streams], Awaitable[int]]
NOT_FOUND = 127
SYNTAX = 2
_ASSIGNMENT = re.compile(r"[A-Za-z_][A-Za-z0-9_]*=")


class Shell:
    """Runs command lines."""

    def __init__(self, machine: Machine, pct: Pct, run_script: Builtin) -> None:
        self._machine = machine
        self._run_script = run_script
        self._builtins: dict[str, Builtin] = {
            "pct": pct.run,
            "echo": _echo,
            "printf": _printf,
            "true": _true,
            ":": _true,
            "false": _false,
            "hostname": self._hostname,
            "realpath": self._realpath,
            "command": self._command,
            "cat": self._cat,
            "find": self._find,
            "lsusb": _lsusb,
            "env": self._env,
            "sh": self._sh,
            "bash": self._sh,
        }

    async def run(self, line: str, streams: Streams) -> int:
        """Run a line; give the last command's exit code."""
        try:
            commands = parse(line)
        except BadLine as error:
            await streams.err(f"bash: -c: line 1: {error}\n".encode())
            return SYNTAX
        code = 0
        for command in commands:
            if (command.joiner == "&&" and code != 0) or (command.joiner == "||" and code == 0):
                continue
            if command.words[0] == "exit":
                return int(command.words[1]) if len(command.words) > 1 else code
            code = await self._run_one(command, streams)
        return code

    async def call(self, words: Sequence[str], streams: Streams) -> int:
        """Run a program that the lab has, by its name and arguments."""
        self._machine.remote_processes += 1
        return await self._builtins[words[0]](words[1:], streams)

    async def _run_one(self, command: Command, streams: Streams) -> int:
        self._machine.remote_processes += 1
        redirected = Redirected(streams, command)
        words = command.words[1:] if command.words[0] == "exec" and len(command.words) > 1 else command.words
        if _ASSIGNMENT.match(words[0]):
            words = ["env", *words]
        builtin = self._builtins.get(words[0].removeprefix("/usr/sbin/").removeprefix("/usr/bin/"))
        if builtin is None:
            place = "No such file or directory" if "/" in words[0] else "command not found"
            await redirected.err(f"bash: line 1: {words[0]}: {place}\n".encode())
            return NOT_FOUND
        return await builtin(words[1:], redirected)

    async def _sh(self, arguments: Sequence[str], streams: Streams) -> int:
        if arguments[:1] in (["-s"], []):
            return await self._run_script(["sh", *arguments], streams)
        if len(arguments) < 2 or arguments[0] not in ("-c", "-lc", "-ec"):  # noqa: PLR2004 - flag and line
            await streams.err(b"sh: the lab's shell runs only -c\n")
            return SYNTAX
        return await self.run(arguments[1], streams)

    async def _env(self, arguments: Sequence[str], streams: Streams) -> int:
        named = next((at for at, word in enumerate(arguments) if not _ASSIGNMENT.match(word)), len(arguments))
        if list(arguments[named : named + 2]) not in (["sh", "-s"], ["bash", "-s"]):
            await streams.err(b"env: the lab's shell sets variables for `sh -s` only\n")
            return NOT_FOUND
        return await self._run_script(["env", *arguments], streams)

    async def _realpath(self, arguments: Sequence[str], streams: Streams) -> int:
        return await paths.realpath(self._machine.folder / paths.FOLDER, arguments, streams)

    async def _cat(self, arguments: Sequence[str], streams: Streams) -> int:
        return await files.cat(self._machine, arguments, streams)

    async def _find(self, arguments: Sequence[str], streams: Streams) -> int:
        return await files.find(self._machine, arguments, streams)

    async def _hostname(self, _arguments: Sequence[str], streams: Streams) -> int:
        await streams.out(f"{self._machine.node}\n".encode())
        return 0

    async def _command(self, arguments: Sequence[str], streams: Streams) -> int:
        if arguments[:1] != ["-v"] or arguments[1:] == [] or arguments[1] not in self._builtins:
            return 1
        await streams.out(f"/usr/sbin/{arguments[1]}\n".encode())
        return 0


async def _echo(arguments: Sequence[str], streams: Streams) -> int:
    ends = arguments[:1] != ["-n"]
    words = arguments if ends else arguments[1:]
    await streams.out(" ".join(words).encode() + (b"\n" if ends else b""))
    return 0


async def _printf(arguments: Sequence[str], streams: Streams) -> int:
    text = arguments[0].replace("\\n", "\n") if arguments else ""
    for word in arguments[1:]:
        text = text.replace("%s", word, 1)
    await streams.out(text.encode())
    return 0


async def _lsusb(_arguments: Sequence[str], streams: Streams) -> int:
    return await files.lsusb(streams)


async def _true(_arguments: Sequence[str], _streams: Streams) -> int:
    return 0


async def _false(_arguments: Sequence[str], _streams: Streams) -> int:
    return 1
