"""Network devices of a container that exists: what changes, and what stays. Pure."""

from collections.abc import Mapping, Sequence

from slipway.contracts.containers import NetworkSpec
from slipway.contracts.jobs import Target
from slipway.provisioner.host import parameters
from slipway.provisioner.host.parameters import Params
from slipway.proxmox.answers import ContainerConfig, options
from slipway.proxmox.host_config import numbered

WITHOUT_CLIENT = (
    "{devices}: Proxmox starts no DHCP client in a running guest and takes a fixed address away, so there is "
    "no address of that kind until its next restart (or `ifup` inside)"
)
MOST = 32
"""Proxmox numbers `net0` to `net31`."""
_GATEWAYS = {"ip": "gw", "ip6": "gw6"}


def changed(wanted: Sequence[NetworkSpec], config: ContainerConfig, target: Target) -> Params:
    """Give the devices that change; whatever is left out of one stays as it is.

    The first one that is wanted is the first one that is there, whatever its number: so people see them. An
    address that is given comes with its gateway, or without one.
    """
    changes: Params = {}
    there = numbered(config.networks)
    free = (name for index in range(MOST) if (name := f"net{index}") not in config.networks)
    for index, network in enumerate(wanted):
        if index < len(there):
            name, known = there[index], config.networks[there[index]]
            written = _rewritten(known, network)
        else:
            name, known = next(free), {}
            given = network.model_copy(update={"name": network.name or f"eth{index}"})
            written = parameters.network(given, target, int(name.removeprefix("net")))
        if options(written) != dict(known):
            changes[name] = written
    gone = there[len(wanted) :]
    return changes | ({"delete": ",".join(gone)} if gone else {})


def without_client(changes: Params) -> list[str]:
    """Name the devices that are told to ask for an address by DHCP."""
    devices = {name: options(text) for name, text in changes.items() if name.startswith("net")}
    asked = {name for name, device in devices.items() if "dhcp" in (device.get("ip"), device.get("ip6"))}
    return numbered(asked)


def _rewritten(known: Mapping[str, str], network: NetworkSpec) -> str:
    given = options(parameters.device(network)) if parameters.device(network) else {}
    stored = dict(known)
    for address, gateway in _GATEWAYS.items():
        if address in given:
            stored.pop(gateway, None)
    for name in parameters.TAKEN_AWAY:
        if getattr(network, name) is not None and not getattr(network, name):
            stored.pop(name, None)
    return ",".join(f"{name}={value}" for name, value in (stored | dict(given)).items())
