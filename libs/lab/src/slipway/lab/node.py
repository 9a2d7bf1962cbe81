"""The lab: pretend Proxmox VE nodes, put together and started.

The only module that knows all others. Each node has an API at a port and with a certificate of its own,
which answers for all nodes; SSH goes to each node's own port, with a host key of its own. A lab is its data
folder: started again with the same folder it goes on with its containers (stopped, but for those with
`onboot`), tasks, keys and, where they are free, ports.
"""

import contextlib
import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Literal

from slipway.lab import site
from slipway.lab.access.accounts import Accounts, Token
from slipway.lab.access.actors import ROOT_ACL, ROOT_NAME, SERVICE_ACL, Acl, root
from slipway.lab.access.tickets import Doorkeeper
from slipway.lab.faults.standing import Faults
from slipway.lab.folder import Folder
from slipway.lab.guests import choose, setup
from slipway.lab.host import power
from slipway.lab.host.certificates import Certificates
from slipway.lab.host.machine import Machine
from slipway.lab.host.observe import Observer
from slipway.lab.host.storages import Storage
from slipway.lab.listening import Listening
from slipway.lab.others import Others
from slipway.lab.settings import Timings
from slipway.lab.ssh.paths import FOLDER
from slipway.lab.ssh.scripts import PVE

log = logging.getLogger(__name__)
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
        address: str = site.LOOPBACK,
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
        self._listening = Listening(
            address=address,
            names=self.names,
            folder=self._folder,
            faults=self.faults,
            api_ports={self.names[0]: api_port},
            ssh_ports={self.names[0]: ssh_port},
        )

    async def start(self) -> None:
        """Make ready and listen; when this returns everything can be used."""
        self._lock = self._folder.prepare()
        async with contextlib.AsyncExitStack() as stack:
            stack.callback(self._lock.close)
            for name in self.names:
                self._certificates(name).prepare()
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
            NodeDoor(name=name, port=self._listening.ssh_ports[name], host_key=self._host_key(name))
            for name in self.names
        ]

    @property
    def endpoint(self) -> str:
        """`https://ADDRESS:PORT`."""
        return f"https://{self.address}:{self.api_port}"

    @property
    def endpoints(self) -> dict[str, str]:
        """Each node's own API, by the name of the node: `https://ADDRESS:PORT`; the first is `endpoint`."""
        ports = self._listening.api_ports
        return {name: f"https://{self._address(name)}:{ports[name]}" for name in self.names}

    @property
    def control_endpoint(self) -> str:
        """Where `/lab/faults` is answered also while the APIs stand still."""
        return f"https://{self.address}:{self._listening.control_port}"

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
        """SHA-256 of the first node's certificate, as Proxmox writes it."""
        return self._certificates(self.name).fingerprint

    @property
    def fingerprints(self) -> dict[str, str]:
        """Those of all nodes' certificates, by name."""
        return {name: self._certificates(name).fingerprint for name in self.names}

    @property
    def certificate_authority(self) -> str:
        """The cluster's CA (PEM), which signs the certificates: `/etc/pve/pve-root-ca.pem`."""
        return self._certificates(self.name).authority_file.read_text(encoding="ascii")

    @property
    def ssh_host_key(self) -> str:
        """The first node's SSH host key: `ssh-ed25519 AAAA...`."""
        return self._host_key(self.name)

    @property
    def ssh_private_key(self) -> str:
        """The private key (OpenSSH PEM) that opens root's door."""
        return self._folder.ssh_key("root-key").export_private_key().decode()

    def secret_files(self) -> dict[str, str]:
        """Return the paths of the secrets, for `lab.json`."""
        self.root_password, self.token_secret, self.root_token_secret  # noqa: B018 - made when first read
        names = {
            "token_secret": "token",
            "root_token_secret": "root-token",
            "root_password": "root-password",
            "ssh_private_key": "root-key",
            "certificate": "api.pem",
            "certificate_authority": "pve-root-ca.pem",
        }
        return {f"{key}_file": str(self._folder.secret_path(name).resolve()) for key, name in names.items()}

    async def _build(self, stack: contextlib.AsyncExitStack) -> dict[str, Machine]:
        if not self._choice.is_installed:
            await setup.apply(log.info)
        guests = choose.build(self._choice, self.data / "guests")
        await guests.open()
        stack.push_async_callback(guests.close)
        return await site.build(
            self.names,
            stack,
            data=self.data,
            address=self.address,
            certificates=self._certificates,
            timings=self._timings,
            faults=self.faults,
            guests=guests,
            storages=self._storages,
        )

    async def _listen(self, stack: contextlib.AsyncExitStack) -> None:
        await self._listening.open(self._members, self._observers, self._doorkeeper(), stack)
        self.api_port = self._listening.api_ports[self.name]
        self.ssh_port = self._listening.ssh_ports[self.name]
        others = Others(list(self._members.values()), self.faults, self._listening.renew)
        stack.push_async_callback(others.stop)

    def _host_key(self, name: str) -> str:
        words = self._listening.host_ssh_key(name).export_public_key().decode().split()
        return " ".join(words[:2])

    def _doorkeeper(self) -> Doorkeeper:
        service = Token(user=SERVICE_USER, name=TOKEN_NAME, secret=self.token_secret, acl=self._acl)
        strong = Token(user=ROOT_NAME, name=TOKEN_NAME, secret=self.root_token_secret, acl=ROOT_ACL)
        key = self._folder.secret("ticket-key").encode()
        return Doorkeeper(
            password=self.root_password,
            key=key,
            tokens=(service, strong),
            accounts=Accounts(self.data / FOLDER / PVE),
            faults=self.faults,
        )

    def _certificates(self, name: str) -> Certificates:
        suffix = site.suffix(name, self.names)
        folder = self._folder.secret_path("")
        return Certificates(folder=folder, node=name, suffix=suffix, address=self._address(name))

    def _address(self, name: str) -> str:
        return site.address_of(name, self.names, self.address)

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
        "endpoints": lab.endpoints,
        "fingerprints": lab.fingerprints,
        "control_endpoint": lab.control_endpoint,
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
