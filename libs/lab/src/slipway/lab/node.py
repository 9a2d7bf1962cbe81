"""The lab: pretend Proxmox VE nodes, put together and started.

The only module that knows all others. The API of the first node answers for all, as any node's does; SSH goes
to each node's own port, which has a host key of its own. A lab is its data folder: started again with the
same folder it goes on with its containers (stopped, but for those with `onboot`), tasks, keys and, where they
are free, ports.
"""

import contextlib
import logging
import os
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Literal

import asyncssh

from slipway.lab import site
from slipway.lab.access.actors import ROOT_ACL, ROOT_NAME, SERVICE_ACL, Acl, root
from slipway.lab.access.tickets import Doorkeeper, Token
from slipway.lab.api.dispatch import Api
from slipway.lab.faults import Faults
from slipway.lab.folder import Folder, fingerprint
from slipway.lab.guests import choose, setup
from slipway.lab.host import power
from slipway.lab.host.machine import Machine
from slipway.lab.host.observe import Observer
from slipway.lab.host.storages import Storage
from slipway.lab.http.front import Front
from slipway.lab.settings import Timings
from slipway.lab.ssh.pct import Pct
from slipway.lab.ssh.server import Door, SshFront
from slipway.lab.ssh.shell import Shell

log = logging.getLogger(__name__)
LOOPBACK = "127.0.0.1"
SERVICE_USER = "slipway@pve"
TOKEN_NAME = "lab"  # noqa: S105 - a name


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeDoor:
    """How a node is reached over SSH."""

    name: str
    port: int
    host_key: str
    """`ssh-ed25519 AAAA...`."""


class Lab:
    """One pretend node, or a cluster of several: `start`, use, `stop`."""

    def __init__(
        self,
        data: Path,
        *,
        guests: Literal["lxc", "simulated", "auto"] = "auto",
        api_port: int = 0,
        ssh_port: int = 0,
        name: str | None = None,
        nodes: int | None = None,
        address: str = LOOPBACK,
        timings: Timings | None = None,
        service_acl: Acl = SERVICE_ACL,
        storages: Sequence[Storage] | None = None,
    ) -> None:
        """Prepare a lab; `name` is the first node's, without `nodes` there are as many as before, or one.

        Raises:
            OtherNodes: if the folder has another number of nodes.
        """
        self.data = data
        self.names = site.node_names(data, name, nodes)
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
        self._ports: dict[str, int] = {}

    async def start(self) -> None:
        """Make ready and listen; when this returns everything can be used."""
        self._lock = self._folder.prepare()
        async with contextlib.AsyncExitStack() as stack:
            stack.callback(self._lock.close)
            self._members = await self._build(stack)
            self._observers = {name: Observer(machine) for name, machine in self._members.items()}
            for observer in self._observers.values():
                observer.start()
                stack.push_async_callback(observer.stop)
            await self._listen(stack)
            self._start_on_boot()
            self._running = stack.pop_all()

    async def stop(self) -> None:
        """Stop everything, guests included; the data folder stays."""
        await self._running.aclose()

    @property
    def name(self) -> str:
        """The first node's, whose API answers."""
        return self.names[0]

    @property
    def doors(self) -> list[NodeDoor]:
        """How each node is reached over SSH."""
        return [
            NodeDoor(name=name, port=self._ports[name], host_key=self._host_key(name)) for name in self.names
        ]

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
        """The first node's SSH host key: `ssh-ed25519 AAAA...`."""
        return self._host_key(self.name)

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

    async def _build(self, stack: contextlib.AsyncExitStack) -> dict[str, Machine]:
        if not self._choice.is_installed:
            await setup.apply(log.info)
        guests = choose.build(self._choice, self.data / "guests")
        await guests.open()
        stack.push_async_callback(guests.close)
        ground = site.Ground(
            data=self.data,
            address=self.address,
            fingerprint=self.fingerprint,
            timings=self._timings,
            faults=self.faults,
            guests=guests,
            storages=self._storages,
        )
        return await site.build(self.names, ground, stack)

    async def _listen(self, stack: contextlib.AsyncExitStack) -> None:
        api = Api(self._members[self.name], self._observers, self._doorkeeper())
        front = Front(api, self._tls())
        path = self.data / "api-port.json"
        self.api_port = await site.take_port(path, self.address, self.api_port, front.start)
        stack.push_async_callback(front.stop)
        for name, machine in self._members.items():
            await self._open_door(name, machine, stack)

    async def _open_door(self, name: str, machine: Machine, stack: contextlib.AsyncExitStack) -> None:
        door = Door(
            host_key=self._host_ssh_key(name),
            password=self.root_password,
            authorized=self._folder.ssh_key("root-key"),
        )
        ssh = SshFront(Shell(machine, Pct(machine)), door, self.faults, lambda: machine.is_online)
        is_first = name == self.name
        path = self.data / f"ssh-port{site.suffix(name, self.names)}.json"
        wanted = self.ssh_port if is_first else 0
        self._ports[name] = await site.take_port(path, self.address, wanted, ssh.start)
        if is_first:
            self.ssh_port = self._ports[name]
        stack.push_async_callback(ssh.stop)

    def _host_ssh_key(self, name: str) -> asyncssh.SSHKey:
        return self._folder.ssh_key(f"ssh-host-key{site.suffix(name, self.names)}")

    def _host_key(self, name: str) -> str:
        words = self._host_ssh_key(name).export_public_key().decode().split()
        return " ".join(words[:2])

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
        for machine in self._members.values():
            for vmid in machine.configs.vmids():
                if machine.configs.get(vmid).get("onboot") == "1":
                    power.start_task(machine, root(), vmid)


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
        "nodes": {
            door.name: {"address": lab.address, "port": door.port, "host_key": door.host_key}
            for door in lab.doors
        },
        "guests_kind": lab.guests_kind,
        "guests_reason": lab.guests_reason,
        **lab.secret_files(),
    }
