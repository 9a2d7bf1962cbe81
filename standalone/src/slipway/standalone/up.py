"""`slipway up`: everything on one machine, in the foreground.

Order of the start: NATS, PostgreSQL (and the lab, side by side), topology, databases, migrations, the five
services, the lab's cluster. The stop goes the other way round and takes less than ten seconds.
"""

import asyncio
import contextlib
import json
import signal
from collections.abc import Coroutine, Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import IO, Any, Literal

from slipway.cli.terminal import say
from slipway.client.client import Client
from slipway.contracts.registry import SERVICES
from slipway.lab.site import node_names
from slipway.runtime.database.engine import migrate
from slipway.runtime.database.roles import provision_databases
from slipway.runtime.process import logs
from slipway.runtime.process.ending import end
from slipway.runtime.process.settings import DatabaseSettings, LogSettings
from slipway.runtime.retry import Deadline
from slipway.runtime.topology.__main__ import AdminSettings, apply_as_admin
from slipway.standalone import lab as labs
from slipway.standalone.accounts import OURSELVES, confinement_for, programs
from slipway.standalone.embedded.nats import EmbeddedNats, NatsOptions
from slipway.standalone.embedded.ports import HOST, free_port, require_free
from slipway.standalone.embedded.postgres import EmbeddedPostgres
from slipway.standalone.environment import Surroundings, environment_of, lab_environment
from slipway.standalone.folders import DataFolder, write_whole
from slipway.standalone.forks import Command, Forks
from slipway.standalone.keys import DATABASE_SERVICES, hand_out, make_keys
from slipway.standalone.logview import LogView
from slipway.standalone.paths import own_record, own_templates
from slipway.standalone.readiness import Readiness
from slipway.standalone.reserve import Reserve
from slipway.standalone.servers import WatchedServer
from slipway.standalone.supervisor import Supervised

START_ORDER = ("catalog", "inventory", "monitor", "provisioner", "gateway")
STOP_SECONDS = 9.0
"""For everything together; what is left then is killed."""
LEAST_STOP_SECONDS = 0.3


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """The options of the command line."""

    data: Path
    port: int
    with_lab: bool = False
    guests: Literal["lxc", "simulated", "auto"] = "auto"
    nodes: int | None = None
    """How many the lab has; without a number as many as before, or one."""
    is_verbose: bool = False
    """Whether the lines of every process are printed, not only written to their files."""


class Stack:
    """All processes of one `up`."""

    def __init__(self, options: Options, view: LogView, folder: DataFolder) -> None:
        self._identities = make_keys(folder)
        self._options = options
        self._view = view
        self.folder = folder
        self._forks = Forks()
        self._started: list[Supervised | WatchedServer] = []
        self._ports = {name: free_port() for name in SERVICES} | {"gateway": options.port or free_port()}
        self._confinement = OURSELVES
        self._endpoints: Mapping[str, object] | None = None
        """How another program reaches the stack, secrets as paths; None unless everything is ready."""
        self._readiness = Readiness(view, self._processes)
        self._reserve: asyncio.Task[None] | None = None
        self.lab: labs.RunningLab | None = None

    @property
    def url(self) -> str:
        """Where the page and the API are."""
        return f"http://{HOST}:{self._ports['gateway']}"

    async def start(self) -> None:
        """Start everything, and wait until it can be used."""
        require_free(self._ports["gateway"])
        say(f"Starting Slipway (logs: {self.folder.log}) ...")
        if self._options.with_lab:
            self._start_lab()
        nats, postgres = await self._start_servers()
        key = self._identities.nkey_file
        settings = AdminSettings(
            nats_url=nats.url, nats_nkey_file=key("admin"), integrators_nkey_file=key("integrators-admin")
        )
        databases, _ = await asyncio.gather(
            provision_databases(postgres.admin_url, DATABASE_SERVICES), apply_as_admin(settings)
        )
        surroundings = self._surroundings(nats, hand_out(self.folder, self._identities, databases))
        for name, url in databases.items():
            # Here, not in a process of each service: most of that would be its start.
            revisions = Path(str(files(f"slipway.{name}") / "migrations"))
            await migrate(DatabaseSettings(database_url=url, database_schema=name), revisions)
        say("  the message bus and the database run")
        for name in START_ORDER:
            self._supervise(self._command(name, surroundings))
        await self._readiness.services([f"http://{HOST}:{port}" for port in self._ports.values()])
        say(f"  the services run: {', '.join(START_ORDER)}")
        await self._make_usable()
        self._endpoints = {
            "http": self.url,
            "nats": nats.url,
            "nats_nkey_file": str(key("integrator")),
            "bootstrap_token_file": str(self.folder.bootstrap_token),
            **({"lab": self.lab.endpoint} if self.lab else {}),
        }
        self._record()
        self._reserve = asyncio.create_task(Reserve(nats.folder.parent, self._view.report).keep())
        say(f"Slipway is ready: {self.url}")
        say(f"Sign in with the secret in {self.folder.bootstrap_token}")

    async def stop(self) -> None:
        """Stop everything: first the services, side by side, then what they need, the last started first."""
        self._endpoints = None
        if self._reserve is not None:
            self._reserve.cancel()
        with contextlib.suppress(OSError):
            self.folder.endpoints.unlink(missing_ok=True)
        deadline = Deadline(STOP_SECONDS)
        services = [process for process in self._started if process.name in SERVICES]
        others = [[process] for process in reversed(self._started) if process not in services]
        for processes in (services, *others):
            seconds = max(LEAST_STOP_SECONDS, deadline.left_seconds / 2)
            await asyncio.gather(*(process.stop(seconds=seconds) for process in processes))
        self._started.clear()
        self._forks.close()
        self._record()

    def client(self) -> Client:
        """Return a client with the first user's rights."""
        return Client(self.url, self.folder.bootstrap_token.read_text(encoding="utf-8").strip())

    def _start_lab(self) -> None:
        self.folder.lab.mkdir(exist_ok=True, mode=0o700)
        (self.folder.lab / "lab.json").unlink(missing_ok=True)
        nodes = len(node_names(self.folder.lab, None, self._options.nodes))
        arguments = ("serve", "--data", str(self.folder.lab), "--guests", self._options.guests)
        self._supervise(
            Command(
                name="lab",
                arguments=("-m", "slipway.lab", *arguments, "--nodes", str(nodes)),
                environment=lab_environment(),
                # It has guests to stop.
                dies_with=signal.SIGTERM,
            )
        )

    async def _start_servers(self) -> tuple[EmbeddedNats, EmbeddedPostgres]:
        users = NatsOptions(users_file=self._identities.users_file)
        nats, postgres = EmbeddedNats(self.folder.path, users), EmbeddedPostgres(self.folder.path)
        watched = [WatchedServer(each, self._view, on_change=self._record) for each in (nats, postgres)]
        self._started += watched
        await asyncio.gather(*(each.start() for each in watched))
        return nats, postgres

    def _surroundings(self, nats: EmbeddedNats, files: Mapping[str, Mapping[str, Path]]) -> Surroundings:
        templates = own_templates()
        needed = [*programs(), *([templates.parent] if templates else [])]
        self._confinement = confinement_for(self.folder.path, needed)
        if self._confinement.remark is not None:
            self._view.report(self._confinement.remark)
        return Surroundings(
            nats_url=nats.url,
            disk=nats.folder,
            ports=self._ports,
            files=files,
            templates=templates,
            record=own_record(self.folder.path, self._confinement.account),
        )

    def _command(self, service: str, surroundings: Surroundings) -> Command:
        return Command(
            name=service,
            arguments=("-m", f"slipway.{service}", "serve"),
            environment=environment_of(service, surroundings),
            confinement=self._confinement,
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

    async def _make_usable(self) -> None:
        async with self.client() as client:
            ready = self._readiness
            if self._options.with_lab:
                self.lab = await ready.lab(self.folder.lab)
                await ready.cluster(client, self.lab)
                say(f"  the lab runs, a pretend Proxmox cluster; its containers are {self._guests}")
            await ready.templates(client)

    @property
    def _guests(self) -> str:
        is_real = self.lab is not None and self.lab.endpoint["guests"] == "lxc"
        return "real LXC containers" if is_real else "simulated"


def prepare(options: Options) -> tuple[Stack, IO[str]]:
    """Lock the data folder, end what a killed `up` left there, make the secrets that are missing."""
    folder = DataFolder(options.data.resolve())
    lock = folder.take()
    logs.configure("slipway", LogSettings(log_level="warning", log_format="text"))
    view = LogView(folder.log, is_quiet=not options.is_verbose)
    for name in folder.end_leftovers():
        view.report(f"ended {name}, which a killed slipway had left")
    return Stack(options, view, folder), lock


async def run_up(options: Options) -> int:
    """Run until SIGTERM or SIGINT; return the exit status."""
    stop = stop_signal()
    stack, lock = prepare(options)
    with lock:
        try:
            if await unless_stopped(stack.start(), stop):
                await stop.wait()
        finally:
            say("Stopping ...")
            await stack.stop()
    return 0


def stop_signal() -> asyncio.Event:
    """Return an event that SIGTERM and SIGINT set."""
    event = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, event.set)
    return event


async def unless_stopped(work: Coroutine[Any, Any, None], stop: asyncio.Event) -> bool:
    """Do some work unless a signal comes first; return whether it was done."""
    working = asyncio.create_task(work)
    waiting = asyncio.create_task(stop.wait())
    await asyncio.wait([working, waiting], return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()
    if stop.is_set():
        # What it may have failed with is then a consequence of the signal, which children get as well.
        await end(working)
        return False
    working.result()
    return True
