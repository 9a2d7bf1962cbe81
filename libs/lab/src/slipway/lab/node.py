"""The lab: a pretend Proxmox VE node, put together and started.

The only module that knows all others. A lab is its data folder: started again with the same folder it goes
on with its containers (stopped, but for those with `onboot`), tasks, keys and, where they are free, ports.
"""

import contextlib
import logging
import os
import ssl
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import IO, Literal

from slipway.lab.access.actors import ROOT_ACL, ROOT_NAME, SERVICE_ACL, Acl, root
from slipway.lab.access.tickets import Doorkeeper, Token
from slipway.lab.api.dispatch import Api
from slipway.lab.faults import Faults
from slipway.lab.folder import Folder, fingerprint
from slipway.lab.guests import choose, setup
from slipway.lab.host import power, records
from slipway.lab.host.configs import Configs
from slipway.lab.host.machine import Machine
from slipway.lab.host.observe import Observer
from slipway.lab.host.storages import STORAGES, Storage, Storages
from slipway.lab.host.tasks import Tasks
from slipway.lab.http.front import Front
from slipway.lab.settings import Timings
from slipway.lab.ssh.pct import Pct
from slipway.lab.ssh.server import Door, SshFront
from slipway.lab.ssh.shell import Shell

log = logging.getLogger(__name__)
LOOPBACK = "127.0.0.1"
SERVICE_USER = "slipway@pve"
TOKEN_NAME = "lab"  # noqa: S105 - a name


class Lab:
    """One pretend node: `start`, use, `stop`."""

    def __init__(
        self,
        data: Path,
        *,
        guests: Literal["lxc", "simulated", "auto"] = "auto",
        api_port: int = 0,
        ssh_port: int = 0,
        name: str = "lab",
        address: str = LOOPBACK,
        timings: Timings | None = None,
        service_acl: Acl = SERVICE_ACL,
        storages: Sequence[Storage] = STORAGES,
    ) -> None:
        self.data = data
        self.name = name
        self.address = address
        self.faults = Faults()
        self.api_port = api_port
        self.ssh_port = ssh_port
        self._timings = timings or Timings()
        self._acl = service_acl
        self._storages = storages
        self._folder = Folder(data)
        choice = choose.choose(guests)
        self._choice = choice
        self.guests_kind = choice.kind
        self.guests_reason = choice.reason
        self._lock: IO[str] | None = None

    async def start(self) -> None:
        """Make ready and listen; when this returns everything can be used."""
        self._lock = self._folder.prepare()
        async with contextlib.AsyncExitStack() as stack:
            stack.callback(self._lock.close)
            self._machine = await self._build(stack)
            self._observer = Observer(self._machine)
            self._observer.start()
            stack.push_async_callback(self._observer.stop)
            await self._listen(stack)
            self._start_on_boot()
            self._running = stack.pop_all()

    async def stop(self) -> None:
        """Stop everything, guests included; the data folder stays."""
        await self._running.aclose()

    @property
    def endpoint(self) -> str:
        """`https://ADDRESS:PORT`."""
        return f"https://{self.address}:{self.api_port}"

    @property
    def token_id(self) -> str:
        """The service account's API token: least privilege."""
        return f"{SERVICE_USER}!{TOKEN_NAME}"

    @property
    def token_secret(self) -> str:
        """Its secret."""
        return self._folder.token_secret("token")

    @property
    def root_token_id(self) -> str:
        """Root's API token: all privileges, and the way to `/lab/faults`."""
        return f"{ROOT_NAME}!{TOKEN_NAME}"

    @property
    def root_token_secret(self) -> str:
        """Its secret."""
        return self._folder.token_secret("root-token")

    @property
    def root_password(self) -> str:
        """Root's password, for the API (`root@pam`) and SSH."""
        return self._folder.secret("root-password")

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the API's certificate, as Proxmox writes it."""
        return fingerprint(self._folder.certificate(self.name)[0])

    @property
    def ssh_host_key(self) -> str:
        """The SSH host key: `ssh-ed25519 AAAA...`."""
        words = self._folder.ssh_key("ssh-host-key").export_public_key().decode().split()
        return " ".join(words[:2])

    @property
    def ssh_private_key(self) -> str:
        """The private key (OpenSSH PEM) that opens root's door."""
        return self._folder.ssh_key("root-key").export_private_key().decode()

    def secret_files(self) -> dict[str, str]:
        """Where the secrets are, for `lab.json`."""
        self.root_password, self.token_secret, self.root_token_secret  # noqa: B018 - made when first read
        names = {
            "token_secret": "token",
            "root_token_secret": "root-token",
            "root_password": "root-password",
            "ssh_private_key": "root-key",
            "certificate": "api.pem",
        }
        return {f"{key}_file": str(self._folder.secret_path(name).resolve()) for key, name in names.items()}

    async def _build(self, stack: contextlib.AsyncExitStack) -> Machine:
        if not self._choice.is_installed:
            await setup.apply(log.info)
        guests = choose.build(self._choice, self.data / "guests")
        await guests.open()
        stack.push_async_callback(guests.close)
        storages = Storages(self.data, self.faults, self._storages)
        storages.load(await guests.templates())
        configs = Configs(self.data / "containers", self.name)
        configs.load()
        tasks = Tasks(self.data / "tasks", self.name, self.faults, self._timings.stop_task)
        tasks.load()
        stack.push_async_callback(tasks.close)
        return Machine(
            node=self.name,
            address=self.address,
            folder=self.data,
            fingerprint=self.fingerprint,
            timings=self._timings,
            guests=guests,
            faults=self.faults,
            configs=configs,
            storages=storages,
            tasks=tasks,
        )

    async def _listen(self, stack: contextlib.AsyncExitStack) -> None:
        front = Front(Api(self._machine, self._observer, self._doorkeeper()), self._tls())
        self.api_port = await self._take_port("api", self.api_port, front.start)
        stack.push_async_callback(front.stop)
        door = Door(
            host_key=self._folder.ssh_key("ssh-host-key"),
            password=self.root_password,
            authorized=self._folder.ssh_key("root-key"),
        )
        ssh = SshFront(Shell(self._machine, Pct(self._machine)), door, self.faults)
        self.ssh_port = await self._take_port("ssh", self.ssh_port, ssh.start)
        stack.push_async_callback(ssh.stop)

    async def _take_port(self, name: str, wanted: int, listen: Callable[[str, int], Awaitable[int]]) -> int:
        """Listen at the wanted port, else at the predecessor's if it is free, else at any."""
        path = self.data / f"{name}-port.json"
        try:
            port = await listen(self.address, wanted or records.read_json(path) or 0)
        except OSError:
            if wanted:
                raise
            port = await listen(self.address, 0)
        records.write_json(path, port)
        return port

    def _doorkeeper(self) -> Doorkeeper:
        service = Token(user=SERVICE_USER, name=TOKEN_NAME, secret=self.token_secret, acl=self._acl)
        strong = Token(user=ROOT_NAME, name=TOKEN_NAME, secret=self.root_token_secret, acl=ROOT_ACL)
        key = self._folder.secret("ticket-key").encode()
        return Doorkeeper(password=self.root_password, key=key, tokens=(service, strong))

    def _tls(self) -> ssl.SSLContext:
        certificate, key = self._folder.certificate(self.name)
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(certificate, key)
        return context

    def _start_on_boot(self) -> None:
        for vmid in self._machine.configs.vmids():
            if self._machine.configs.get(vmid).get("onboot") == "1":
                power.start_task(self._machine, root(), vmid)


def description(lab: Lab) -> dict[str, object]:
    """Describe a running lab for other processes; secrets only as paths of files."""
    return {
        "name": lab.name,
        "pid": os.getpid(),
        "endpoint": lab.endpoint,
        "fingerprint": lab.fingerprint,
        "token_id": lab.token_id,
        "root_token_id": lab.root_token_id,
        "ssh_address": lab.address,
        "ssh_port": lab.ssh_port,
        "ssh_host_key": lab.ssh_host_key,
        "guests_kind": lab.guests_kind,
        "guests_reason": lab.guests_reason,
        **lab.secret_files(),
    }
