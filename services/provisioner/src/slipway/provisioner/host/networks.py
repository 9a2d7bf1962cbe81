"""Changes of the network devices of a container that exists. Pure."""

from collections.abc import Mapping, Sequence

from slipway.contracts.container_specs import NetworkSpec
from slipway.contracts.jobs import Target
from slipway.provisioner.host import parameters
from slipway.provisioner.host.parameters import Params
from slipway.proxmox.answers import ContainerConfig, options
from slipway.proxmox.host_config import numbered

WITHOUT_CLIENT = (
    "{devices}: Proxmox starts no DHCP client in a running guest and takes a fixed address away, so there is "
    "no address of that kind until its next restart (or `ifup` inside)"
)
WITHOUT_GATEWAY = (
    "{devices}: the gateway goes, as the new address is given without one; to keep it, give `gw` (`gw6`) too"
)
MOST = 32
"""Proxmox numbers `net0` to `net31`."""
_GATEWAYS = {"ip": "gw", "ip6": "gw6"}


def changed(networks: Sequence[NetworkSpec], config: ContainerConfig, target: Target) -> Params:
    """Return the devices that change; fields that are left out of one stay as they are.

    The first network is the first device that exists, whatever its number: people see them in that order. A
    new address comes with its gateway, or without one.
    """
    changes: Params = {}
    names = numbered(config.networks)
    free = (name for index in range(MOST) if (name := f"net{index}") not in config.networks)
    for index, network in enumerate(networks):
        if index < len(names):
            name, present = names[index], config.networks[names[index]]
            written = _rewritten(present, network)
        else:
            name, present = next(free), {}
            named = network.model_copy(update={"name": network.name or f"eth{index}"})
            written = parameters.network(named, target, int(name.removeprefix("net")))
        if options(written) != dict(present):
            changes[name] = written
    gone = names[len(networks) :]
    return changes | ({"delete": ",".join(gone)} if gone else {})


def without_client(changes: Params) -> list[str]:
    """Return the names of the devices that change to DHCP."""
    devices = {name: options(text) for name, text in changes.items() if name.startswith("net")}
    dynamic = {name for name, device in devices.items() if "dhcp" in (device.get("ip"), device.get("ip6"))}
    return numbered(dynamic)


def without_gateway(changes: Params, config: ContainerConfig) -> list[str]:
    """Return the names of devices that have a fixed address after a change, and no gateway any more."""
    lost = set()
    for name, present in config.networks.items():
        device = options(changes.get(name, ""))
        for address, gateway in _GATEWAYS.items():
            if gateway in present and gateway not in device and "/" in device.get(address, ""):
                lost.add(name)
    return numbered(lost)


def _rewritten(present: Mapping[str, str], network: NetworkSpec) -> str:
    text = parameters.device(network)
    fields = options(text) if text else {}
    remaining = dict(present)
    for address, gateway in _GATEWAYS.items():
        if address in fields:
            remaining.pop(gateway, None)
    for name in parameters.TAKEN_AWAY:
        if getattr(network, name) is not None and not getattr(network, name):
            remaining.pop(name, None)
    return parameters.property_string(remaining | dict(fields))
