"""`slipway up`: everything on one machine, in the foreground.

Order of the start: the fork server, which imports from then on, and PostgreSQL; keys; NATS; topology,
databases and migrations; the lab and the services; the lab's cluster. The stop goes the other way round and
takes less than ten seconds.

What is imported here stays for months: what a start needs once is in `operations`.
"""

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Literal

from setproctitle import setproctitle

from slipway.cli import terminal
from slipway.cli.errors import CommandFailed, explanation
from slipway.cli.terminal import say
from slipway.runtime.retry import Deadline
from slipway.runtime.topology.identity_files import Identities
from slipway.standalone import lab as labs
from slipway.standalone.accounts import OURSELVES, confinement_for, programs
from slipway.standalone.address import Listening
from slipway.standalone.embedded.nats import EmbeddedNats, NatsOptions
from slipway.standalone.embedded.ports import HOST, free_port
from slipway.standalone.embedded.postgres import EmbeddedPostgres
from slipway.standalone.embedded.server import EmbeddedServer
from slipway.standalone.environment import Surroundings, environment_of, lab_environment
from slipway.standalone.folders import DataFolder, write_whole
from slipway.standalone.forks import Command, Forks
from slipway.standalone.gateway import GatewayAddress
from slipway.standalone.handouts import handouts
from slipway.standalone.launch import SIGNALS, received
from slipway.standalone.logview import LogView
from slipway.standalone.oneshot import run_once
from slipway.standalone.paths import own_record, own_templates
from slipway.standalone.reserve import Reserve
from slipway.standalone.servers import WatchedServer
from slipway.standalone.services import ACTING, START_ORDER
from slipway.standalone.stopping import stop_signal, unless_stopped
from slipway.standalone.supervisor import Supervised, unless_refused
from slipway.standalone.upgrade.safety import SafetyCopy

STOP_SECONDS = 9.0
"""For everything together; what is left then is killed."""
LEAST_STOP_SECONDS = 0.3


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """The options of the command line."""

    data: Path
    port: int
    listening: Listening = field(default_factory=Listening)
    with_lab: bool = False
    guests: Literal["lxc", "simulated", "auto"] = "auto"
    nodes: int | None = None
    """How many the lab has; without a number as many as before, or one."""
    is_tryout: bool = False
    """Whether the data is only tried with this build: nothing runs that acts on a host."""
    is_verbose: bool = False
    """Whether the lines of every process are printed, not only written to their files."""


class Stack:
    """All processes of one `up`."""

    def __init__(self, options: Options, view: LogView, folder: DataFolder, forks: Forks) -> None:
        self._options = options
        self._view = view
        self.folder = folder
        self._forks = forks
        self._identities = Identities(folder.identities)
        self._started: list[Supervised | WatchedServer] = []
        self._address = GatewayAddress(options.listening, folder, options.port)
        self._services = tuple(each for each in START_ORDER if each not in ACTING or not options.is_tryout)
        self._ports = {name: free_port() for name in self._services} | {"gateway": self._address.plain_port}
        self._confinement = OURSELVES
        self._endpoints: Mapping[str, object] | None = None
        """How another program reaches the stack, secrets as paths; None unless everything is ready."""
        self._reserve: asyncio.Task[None] | None = None
        self.lab: labs.RunningLab | None = None

    @property
    def url(self) -> str:
        """Where this machine's programs find the page and the API."""
        return self._address.local_url

    async def start(self) -> None:
        """Start everything, and wait until it can be used."""
        self._address.require_free()
        say(f"{'Trying' if self._options.is_tryout else 'Starting'} Slipway (logs: {self.folder.log}) ...")
        data = str(self.folder.path)
        has_data = self.folder.upgrading.exists() or (self.folder.path / "postgres").exists()
        if has_data and not self._options.is_tryout:
            await self._once("protect", data=data)
        users = NatsOptions(users_file=self._identities.users_file)
        nats, postgres = EmbeddedNats(self.folder.path, users), EmbeddedPostgres(self.folder.path)
        await asyncio.gather(self._start_server(postgres), self._start_bus(nats))
        ports = {"nats_url": nats.url, "postgres_port": postgres.port}
        await self._declare(data=data, is_tryout=self._options.is_tryout, **ports)
        if (request := self._address.certificate_request()) is not None:
            await self._once("prepare_certificate", **request)
            self._address.hand_out()
        say("  the message bus and the database run")
        # To begin to wait takes a moment, in which the fork server imports the rest.
        await asyncio.gather(self._await_stack(), self._start_services(nats))
        self.lab = labs.read_lab(self.folder.lab) if self._options.with_lab else None
        self._endpoints = {
            "http": self.url,
            "https": self._address.tls_url,
            "services": {name: f"http://{HOST}:{port}" for name, port in self._ports.items()},
            "nats": nats.url,
            "nats_nkey_file": str(self._identities.nkey_file("integrator")),
            "bootstrap_token_file": str(self.folder.bootstrap_token),
            **({"lab": self.lab.endpoint} if self.lab else {}),
        }
        self._record()
        self._reserve = asyncio.create_task(Reserve(nats.folder.parent, self._view.report).keep())
        self._address.begin(self._view.report, self._once)
        if self._options.is_tryout:
            return
        for sentence in self._address.sentences():
            say(sentence)
        say(f"Sign in with the secret in {self.folder.bootstrap_token}")

    async def stop(self) -> None:
        """Stop everything: first the services, side by side, then what they need, the last started first."""
        self._endpoints = None
        if self._reserve is not None:
            self._reserve.cancel()
        await self._address.end()
        with contextlib.suppress(OSError):
            self.folder.endpoints.unlink(missing_ok=True)
        deadline = Deadline(STOP_SECONDS)
        services = [process for process in self._started if process.name in START_ORDER]
        others = [[process] for process in reversed(self._started) if process not in services]
        for processes in (services, *others):
            seconds = max(LEAST_STOP_SECONDS, deadline.left_seconds / 2)
            await asyncio.gather(*(process.stop(seconds=seconds) for process in processes))
        self._started.clear()
        self._forks.close()
        self._record()
        if self.folder.upgrading.exists() and not self._options.is_tryout:
            SafetyCopy(self.folder).put_back()

    async def _declare(self, **arguments: object) -> None:
        try:
            await self._once("declare", **arguments)
        except CommandFailed as error:
            if not self.folder.upgrading.exists() or self._options.is_tryout:
                raise
            from slipway.standalone.upgrade.protect import rolled_back  # noqa: PLC0415 - seldom needed

            raise rolled_back(self.folder, error) from error

    async def _start_bus(self, nats: EmbeddedNats) -> None:
        await self._once("make_keys", data=str(self.folder.path))
        await self._start_server(nats)

    async def _await_stack(self) -> None:
        urls = {name: f"http://{HOST}:{self._ports[name]}" for name in self._services} | {"gateway": self.url}
        options = {"url": self.url, "services": urls, "with_lab": self._options.with_lab}
        await self._once("await_stack", data=str(self.folder.path), **options)

    async def _start_services(self, nats: EmbeddedNats) -> None:
        if self._options.with_lab:
            self._start_lab()
        surroundings = self._surroundings(nats)
        for name in self._services:
            self._supervise(self._command(name, surroundings))

    async def _once(self, operation: str, **arguments: object) -> None:
        work = run_once(self._forks, operation, **arguments)
        await unless_refused(work, self._processes, self._view)

    def _start_lab(self) -> None:
        self.folder.lab.mkdir(exist_ok=True, mode=0o700)
        (self.folder.lab / "lab.json").unlink(missing_ok=True)
        arguments = ["serve", "--data", str(self.folder.lab), "--guests", self._options.guests]
        if self._options.nodes is not None:
            arguments += ["--nodes", str(self._options.nodes)]
        self._supervise(
            Command(
                name="lab",
                arguments=("-m", "slipway.lab", *arguments),
                environment=lab_environment(),
                # It has guests to stop.
                dies_with=signal.SIGTERM,
            )
        )

    async def _start_server(self, embedded: EmbeddedServer) -> None:
        watched = WatchedServer(embedded, self._view, on_change=self._record)
        self._started.append(watched)
        await watched.start()

    def _surroundings(self, nats: EmbeddedNats) -> Surroundings:
        templates = own_templates()
        needed = [*programs(), *([templates.parent] if templates else [])]
        self._confinement = confinement_for(self.folder.path, needed)
        if self._confinement.remark is not None:
            self._view.report(self._confinement.remark)
        return Surroundings(
            nats_url=nats.url,
            disk=nats.folder,
            ports=self._ports,
            files=handouts(self.folder),
            templates=templates,
            gateway=self._address.environment(),
            record=own_record(self.folder.path, self._confinement.account),
        )

    def _command(self, service: str, surroundings: Surroundings) -> Command:
        return Command(
            name=service,
            arguments=("-m", f"slipway.{service}", "serve"),
            environment=environment_of(service, surroundings),
            confinement=self._address.confinement(self._confinement)
            if service == "gateway"
            else self._confinement,
        )

    def _supervise(self, command: Command) -> None:
        process = Supervised(command, self._forks, self._view, on_change=self._record)
        process.start()
        self._started.append(process)

    def _processes(self) -> list[Supervised]:
        return [each for each in self._started if isinstance(each, Supervised)]

    def _record(self) -> None:
        running = {process.name: process.pid for process in self._started if process.pid is not None}
        try:
            self.folder.record_pids(running)
            if self._endpoints is not None:
                content = json.dumps({**self._endpoints, "pids": running}, indent=2)
                write_whole(self.folder.endpoints, f"{content}\n")
        except OSError as error:
            self._view.report(f"can't record which processes run: {error}")


def prepare(options: Options, forks: Forks) -> tuple[Stack, IO[str]]:
    """Lock the data folder, and end what a killed `up` left there."""
    folder = DataFolder(options.data.resolve())
    lock = folder.take(is_upgrading=True)
    view = LogView(folder.log, is_quiet=not options.is_verbose)
    for name in folder.end_leftovers():
        view.report(f"ended {name}, which a killed slipway had left")
    return Stack(options, view, folder, forks), lock


async def run_up(options: Options, forks: Forks) -> int:
    """Run until SIGTERM or SIGINT; return the exit status."""
    stop = stop_signal()
    signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
    stack, lock = prepare(options, forks)
    with lock:
        try:
            if await unless_stopped(stack.start(), stop):
                await stop.wait()
        finally:
            say("Stopping ...")
            await stack.stop()
    return 0


def main(argument: str) -> int:
    """Run `up` as `launch.become` asks for it; return the exit status."""
    title, others, server = received(argument)
    parsed = {"data": Path(others["data"]), "listening": Listening(**others["listening"])}
    options = Options(**{**others, **parsed})
    setproctitle(title)
    os.umask(0o022)
    terminal.forgive()
    try:
        return asyncio.run(run_up(options, Forks(server)))
    except Exception as error:
        message = explanation(error)
        if message is None:
            raise
        terminal.warn(message)
        return error.status if isinstance(error, CommandFailed) else 1
    finally:
        terminal.finish()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
