"""What a request for a container must keep to. Pure; every fault names its field.

Where Proxmox has a limit, it is the official schema's (`POST /nodes/{node}/lxc`, PVE 9.2).
"""

import ipaddress
import re
from collections.abc import Iterator

from slipway.contracts.clusters import NodeFacts
from slipway.contracts.containers import ContainerSpec, NetworkSpec
from slipway.contracts.problems import FieldError, Invalid
from slipway.contracts.templates import Manifest
from slipway.inventory.rules import content, restricted
from slipway.runtime.reach import NONE, Reach

_HOSTNAME = re.compile(r"^[a-zA-Z0-9]([a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?$")
_LABEL = r"[a-zA-Z0-9]([a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?"
_DOMAIN = re.compile(rf"(?=.{{1,253}}\Z){_LABEL}(\.{_LABEL})*")
_TAG = re.compile(r"^[a-zA-Z0-9_][a-zA-Z0-9_+.-]{0,62}$")
_PACKAGE = re.compile(r"^[a-zA-Z0-9@][a-zA-Z0-9@/_.:~+=<>-]{0,127}$")
_WORD = re.compile(r"^[a-zA-Z0-9][a-zA-Z0-9._-]{0,63}$")
_TIMEZONE = re.compile(r"^(host|[A-Za-z0-9_+-]+(/[A-Za-z0-9_+-]+){0,2})$")
_COUNT = "[0-9]{1,9}"
_STARTUP = re.compile(rf"(?=.)((order=)?{_COUNT}(,|\Z))?(up={_COUNT}(,|\Z))?(down={_COUNT})?(?<!,)")
_GUEST_PATH = re.compile(r"^/[A-Za-z0-9_./-]{1,255}$")
_CIDR = re.compile(r"[0-9A-Fa-f:.]+/[0-9]{1,3}")
"""Without a scope (`%...`): Python takes any text there."""
_MAC = re.compile(r"^([0-9A-Fa-f]{2}:){5}[0-9A-Fa-f]{2}$")
_MANAGERS = {"apt", "apk", "dnf", "pip", "npm"}
_FEATURES = {"nesting", "keyctl", "fuse", "mknod", "mount", "force_rw_sys"}
LEAST_PASSWORD = 5
"""Of root's password (official schema, `password` of `POST /nodes/{node}/lxc`: minLength 5)."""
_LONGEST_SECRET = 1024
_VLANS = range(1, 4095)
_MTUS = range(64, 65536)
_LIMITS: dict[str, tuple[float, float]] = {
    "vmid": (100, 999_999_999),
    "cores": (1, 8192),
    "cpulimit": (0, 8192),
    "cpuunits": (0, 500_000),
    "memory": (16, 16_777_216),
    "swap": (0, 16_777_216),
    "disk": (0.1, 131_072),
    "tty": (0, 6),
}


class ContainerInvalid(Invalid):
    """The container can't be as it was asked for."""

    code = "container.invalid"


def check_source(spec: ContainerSpec) -> None:
    """Refuse a request that names nothing to build from, before anything else is asked."""
    if spec.template is None and spec.ostemplate is None:
        message = "Give a template's name, or an ostemplate to start from scratch."
        raise ContainerInvalid(message, errors=[FieldError(field="template", message=message)])


def check_secret(field: str, secret: str) -> None:
    """Refuse a secret that Proxmox or a shell's environment can't carry; never tells its value."""
    if field == "password" and len(secret) < LEAST_PASSWORD:
        message = f"Proxmox wants at least {LEAST_PASSWORD} characters."
        raise ContainerInvalid(message, errors=[FieldError(field=field, message=message)])
    if not secret.isprintable() or len(secret) > _LONGEST_SECRET:
        message = f"A secret is up to {_LONGEST_SECRET} printable characters on one line."
        raise ContainerInvalid(message, errors=[FieldError(field=field, message=message)])


def check(spec: ContainerSpec, manifest: Manifest | None, node: NodeFacts, reach: Reach = NONE) -> None:
    """Refuse what breaks a rule, all faults together.

    Raises:
        RestrictedKey: for what reaches further into the host than the operator allows.
        ContainerInvalid: for anything else.
    """
    faults = tuple(_faults(spec, manifest, node))
    if faults:
        raise ContainerInvalid(
            "; ".join(f"{fault.field}: {fault.message}" for fault in faults), errors=faults
        )
    restricted.check(spec, reach)


def _faults(spec: ContainerSpec, manifest: Manifest | None, node: NodeFacts) -> Iterator[FieldError]:
    yield from _words(spec)
    yield from _numbers(spec)
    yield from content.faults(spec)
    yield from restricted.faults(spec)
    for index, network in enumerate(spec.networks):
        yield from _network(network, f"networks.{index}", node)
    yield from _places(spec, node)
    yield from _lists(spec)
    yield from _against(spec, manifest)


def _words(spec: ContainerSpec) -> Iterator[FieldError]:
    checks = (
        ("hostname", _HOSTNAME, "1 to 63 letters, digits and hyphens, no hyphen at either end"),
        ("searchdomain", _DOMAIN, "a domain name"),
        ("timezone", _TIMEZONE, "`host` or a name like Europe/Berlin"),
        ("startup", _STARTUP, "like order=1,up=30,down=60"),
        ("pool", _WORD, "a pool's name"),
        ("arch", re.compile(r"^(amd64|i386|arm64|armhf|riscv32|riscv64)$"), "one of Proxmox's"),
        ("cmode", re.compile(r"^(shell|console|tty)$"), "shell, console or tty"),
    )
    for name, pattern, right in checks:
        value = getattr(spec, name)
        if value is not None and not pattern.fullmatch(value):
            yield FieldError(field=name, message=f"{value!r} is not {right}.")
    for address in (spec.nameserver or "").split():
        if not _is_address(address):
            yield FieldError(field="nameserver", message=f"{address!r} is not an IP address.")
    if spec.nameserver is not None and not spec.nameserver.strip():
        yield FieldError(field="nameserver", message="It is empty; leave it out to use the node's.")


def _numbers(spec: ContainerSpec) -> Iterator[FieldError]:
    for name, (least, most) in _LIMITS.items():
        value = getattr(spec, name)
        if value is not None and not least <= value <= most:
            yield FieldError(field=name, message=f"{value:g} is not between {least:g} and {most:g}.")


def _network(network: NetworkSpec, field: str, node: NodeFacts) -> Iterator[FieldError]:
    bridges = {bridge.name for bridge in node.bridges}
    if network.bridge is not None and network.bridge not in bridges:
        known = ", ".join(sorted(bridges))
        yield FieldError(
            field=f"{field}.bridge", message=f"Node {node.node} has no bridge {network.bridge!r}: {known}."
        )
    four = {"dhcp", "manual"}
    six = {"auto", "dhcp", "manual"}
    yield from _address(network.ip, network.gw, at=field, suffix="", words=four)
    yield from _address(network.ip6, network.gw6, at=field, suffix="6", words=six)
    if network.tag is not None and network.tag not in _VLANS:
        yield FieldError(field=f"{field}.tag", message="A VLAN tag is 1 to 4094.")
    if network.mtu is not None and network.mtu not in _MTUS:
        yield FieldError(field=f"{field}.mtu", message="An MTU is 64 to 65535.")
    if network.hwaddr is not None and not _MAC.fullmatch(network.hwaddr):
        yield FieldError(field=f"{field}.hwaddr", message="A MAC address is like BC:24:11:00:00:01.")
    if network.name is not None and not re.fullmatch(r"[a-zA-Z][a-zA-Z0-9_.-]{0,14}", network.name):
        yield FieldError(
            field=f"{field}.name", message="An interface's name has up to 15 letters and digits."
        )


def _address(
    address: str | None, gateway: str | None, *, at: str, suffix: str, words: set[str]
) -> Iterator[FieldError]:
    field, gateway_field = f"{at}.ip{suffix}", f"{at}.gw{suffix}"
    if address is None or address in words:
        if gateway is not None:
            yield FieldError(field=gateway_field, message="A gateway needs a fixed address beside it.")
        return
    interface = _interface(address, version=int(suffix or "4"))
    if interface is None:
        example = "fd00::5/64" if suffix else "10.0.0.5/24"
        told = f"{address!r} is not an address with prefix length like {example}"
        yield FieldError(field=field, message=f"{told}, nor one of {', '.join(sorted(words))}.")
    elif gateway is not None and not _is_address(gateway):
        yield FieldError(field=gateway_field, message=f"{gateway!r} is not an IP address.")
    elif gateway is not None and not _is_reached(gateway, interface):
        yield FieldError(field=gateway_field, message=f"{gateway} is outside of {interface.network}.")


def _interface(text: str, *, version: int) -> ipaddress.IPv4Interface | ipaddress.IPv6Interface | None:
    if not _CIDR.fullmatch(text):
        return None
    try:
        interface = ipaddress.ip_interface(text)
    except ValueError:
        return None
    return interface if interface.version == version else None


def _is_reached(gateway: str, interface: ipaddress.IPv4Interface | ipaddress.IPv6Interface) -> bool:
    """Whether it is on the link; of IPv6, the link's own addresses are."""
    address = ipaddress.ip_address(gateway)
    on_link = address.version == interface.version == 6 and address.is_link_local  # noqa: PLR2004  IPv6
    return on_link or address in interface.network


def _places(spec: ContainerSpec, node: NodeFacts) -> Iterator[FieldError]:
    able = sorted(s.name for s in node.storages if s.is_active and "rootdir" in s.content)
    wanted = [("storage", spec.storage)]
    wanted += [
        (f"mounts.{i}.storage", mount.storage) for i, mount in enumerate(spec.mounts) if not mount.is_bind
    ]
    for field, storage in wanted:
        if storage is not None and storage not in able:
            message = f"{storage!r} can't hold container disks on {node.node}; these can: {', '.join(able)}."
            yield FieldError(field=field, message=message)
    for index, mount in enumerate(spec.mounts):
        if not _GUEST_PATH.fullmatch(mount.path) or ".." in mount.path:
            yield FieldError(field=f"mounts.{index}.path", message=f"{mount.path!r} is not a guest path.")
    if spec.pool is not None and node.pools and spec.pool not in node.pools:
        yield FieldError(field="pool", message=f"There is no pool {spec.pool!r}.")


def _lists(spec: ContainerSpec) -> Iterator[FieldError]:
    for index, tag in enumerate(spec.tags):
        if not _TAG.fullmatch(tag):
            yield FieldError(field=f"tags.{index}", message=f"{tag!r} is not a tag: letters, digits, _ + . -")
    for index, packages in enumerate(spec.packages):
        if packages.manager not in _MANAGERS:
            yield FieldError(
                field=f"packages.{index}.manager", message=f"One of {', '.join(sorted(_MANAGERS))}."
            )
        for place, name in enumerate(packages.names):
            if not _PACKAGE.fullmatch(name):
                yield FieldError(
                    field=f"packages.{index}.names.{place}", message=f"{name!r} is not a package's name."
                )
    for name in spec.features:
        if name not in _FEATURES:
            yield FieldError(field=f"features.{name}", message=f"One of {', '.join(sorted(_FEATURES))}.")


def _against(spec: ContainerSpec, manifest: Manifest | None) -> Iterator[FieldError]:
    scripts = {script.name for script in manifest.scripts} if manifest else set()
    for index, script in enumerate(spec.scripts or ()):
        if script not in scripts:
            yield FieldError(field=f"scripts.{index}", message=f"The template has no script {script!r}.")
    variables = {variable.name: variable for variable in manifest.variables} if manifest else {}
    for name, value in spec.variables.items():
        known = variables.get(name)
        if known is None:
            yield FieldError(field=f"variables.{name}", message="The template has no such variable.")
        elif known.is_secret:
            yield FieldError(field=f"variables.{name}", message="It is secret: it has to come sealed.")
        elif known.pattern and not re.fullmatch(known.pattern, value):
            yield FieldError(field=f"variables.{name}", message=f"It does not fit {known.pattern}.")
    for name, variable in variables.items():
        if variable.is_required and not variable.is_secret and name not in spec.variables:
            yield FieldError(field=f"variables.{name}", message="The template needs a value.")


def _is_address(text: str) -> bool:
    if "%" in text:
        return False
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True
