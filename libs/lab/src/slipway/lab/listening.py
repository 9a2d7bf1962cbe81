"""Where a lab is reached: each node's API and SSH at ports of their own, and the control endpoint.

A lab takes the ports that it had before where they are free. A node with a fault (`Condition`) freezes or
shuts its gates; the control endpoint always answers.
"""

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass, field

import asyncssh

from slipway.lab import site
from slipway.lab.access.tickets import Doorkeeper
from slipway.lab.api.dispatch import Api
from slipway.lab.api.orders import Orders
from slipway.lab.faults import CertificateRenewed
from slipway.lab.faults.standing import Faults
from slipway.lab.folder import Folder
from slipway.lab.gate import Gate
from slipway.lab.host.machine import Machine
from slipway.lab.host.observe import Observer
from slipway.lab.http.front import Front
from slipway.lab.ssh import paths
from slipway.lab.ssh.forced import ForcedCommands
from slipway.lab.ssh.pct import Pct
from slipway.lab.ssh.pvesh import NodeTools
from slipway.lab.ssh.scripts import KEYS, Scripts
from slipway.lab.ssh.server import Door, SshFront
from slipway.lab.ssh.shell import Shell


@dataclass(slots=True, kw_only=True)
class Listening:
    """The listening sockets of a lab."""

    address: str
    names: tuple[str, ...]
    folder: Folder
    faults: Faults
    api_ports: dict[str, int] = field(default_factory=dict)
    ssh_ports: dict[str, int] = field(default_factory=dict)
    control_port: int = 0
    _fronts: dict[str, Front] = field(default_factory=dict)

    async def open(
        self,
        members: Mapping[str, Machine],
        observers: Mapping[str, Observer],
        doorkeeper: Doorkeeper,
        stack: contextlib.AsyncExitStack,
    ) -> None:
        """Listen everywhere, at the wanted ports of the first node if there are any."""
        for name, machine in members.items():
            api = Api(machine, observers, doorkeeper)
            await self._open_api(name, machine, api, stack)
            await self._open_ssh(name, machine, api, stack)
        first = next(iter(members.values()))
        control = Front(Orders(first, doorkeeper), first.certificates.context(), Gate(self.faults))
        path = self.folder.path / "control-port.json"
        self.control_port = await site.take_port(path, self.address, 0, control.start)
        stack.push_async_callback(control.stop)

    def renew(self, machine: Machine, order: CertificateRenewed) -> None:
        """Show another certificate from now on; pveproxy has restarted."""
        machine.certificates.renew(order.signed_by, order.file)
        front = self._fronts[machine.condition.first_name]
        front.tls = machine.certificates.context()
        front.drop_all()

    def host_ssh_key(self, name: str) -> asyncssh.SSHKey:
        """Return a node's SSH host key."""
        return self.folder.ssh_key(f"ssh-host-key{site.suffix(name, self.names)}")

    async def _open_api(
        self, name: str, machine: Machine, api: Api, stack: contextlib.AsyncExitStack
    ) -> None:
        state = machine.condition
        gate = Gate(self.faults, is_frozen=lambda: state.is_api_frozen, is_shut=lambda: state.is_shut)
        front = Front(api, machine.certificates.context(), gate, machine.now)
        path = self.folder.path / f"api-port{site.suffix(name, self.names)}.json"
        port, likely = self.api_ports.get(name, 0), self.api_ports[self.names[0]]
        self.api_ports[name] = await site.take_port(path, machine.address, port, front.start, likely)
        self._fronts[name] = front
        self.faults.listen(lambda _: front.drop_all() if state.is_shut else None)
        stack.push_async_callback(front.stop)

    async def _open_ssh(
        self, name: str, machine: Machine, api: Api, stack: contextlib.AsyncExitStack
    ) -> None:
        host_key = self.host_ssh_key(name)
        public = " ".join(host_key.export_public_key().decode().split()[:2])
        pct, tools = Pct(machine), NodeTools(api)
        scripts = Scripts(machine, public, {"pct": pct.run, "pvesh": tools.pvesh, "pveam": tools.pveam})
        door = Door(
            host_key=host_key,
            password=self.folder.secret("root-password"),
            authorized=self.folder.ssh_key("root-key"),
            keys=machine.folder / paths.FOLDER / KEYS,
        )
        state = machine.condition
        gate = Gate(self.faults, is_frozen=lambda: state.is_ssh_frozen, is_shut=lambda: state.is_shut)
        shell = Shell(machine, pct, scripts.run)
        ssh = SshFront(shell, ForcedCommands(machine, shell), door, self.faults, gate)
        path = self.folder.path / f"ssh-port{site.suffix(name, self.names)}.json"
        port = self.ssh_ports.get(name, 0)
        self.ssh_ports[name] = await site.take_port(path, self.address, port, ssh.start)
        stack.push_async_callback(ssh.stop)
