"""A container's spec as parameters of Proxmox's create call, named as in its schema. Pure."""

import re
from collections.abc import Iterator, Mapping
from decimal import Decimal
from posixpath import normpath
from typing import Any

from slipway.contracts.container_specs import ContainerSpec, MountSpec, NetworkSpec
from slipway.contracts.jobs import Target
from slipway.contracts.message import Id
from slipway.provisioner.host import marks
from slipway.proxmox.answers import ContainerConfig, options, startup_of
from slipway.proxmox.host_config import SAME_NAMES, gib

Params = dict[str, str | int | bool]
_PLAIN = (
    "arch", "bwlimit", "cmode", "console", "cores", "cpulimit", "cpuunits", "debug", "entrypoint",
    "hostname", "memory", "nameserver", "onboot", "ostype", "pool", "protection",
    "searchdomain", "startup", "swap", "timezone", "tty", "unprivileged",
)  # fmt: skip
"""Fields that Proxmox calls the same."""
TAKEN_AWAY = ("tag", "trunks", "mtu", "rate")
"""Of a network device: 0, or an empty text, takes it away."""
_ROUNDED = 1 / 1024
"""GiB: Proxmox cuts a size off at a whole MiB (PVE::LXC 9.2, `create_disks`)."""
LISTS = frozenset({"nameserver", "searchdomain"})
_SEPARATORS = re.compile(r"[,;]")
_COMPARED = tuple(name for name in SAME_NAMES if name not in {"hookscript", "tags"})
"""Fields that are read back as they were set. Proxmox leaves out false and 0."""


def of(spec: ContainerSpec, target: Target, job: Id, *, ostemplate: str, password: str | None) -> Params:
    """Return the parameters of the create call."""
    plain = {name: getattr(spec, name) for name in _PLAIN}
    params: Params = {name: _plain(value) for name, value in plain.items() if value is not None}
    params |= {
        "vmid": target.vmid,
        "ostemplate": ostemplate,
        "storage": str(spec.storage),
        "rootfs": f"{spec.storage}:{number(spec.disk or 0)}",
        "unprivileged": bool(spec.unprivileged),
        "description": marks.made(spec, target, job),
    }
    optional = {
        "nameserver": listed(spec.nameserver or ""),
        "searchdomain": listed(spec.searchdomain or ""),
        "password": password,
        "ssh-public-keys": spec.ssh_public_keys,
        "tags": ";".join(spec.tags),
        "env": "\0".join(f"{name}={value}" for name, value in spec.env.items()),
        "features": "nesting=1" if spec.unprivileged and spec.features.get("nesting") else None,
    }
    params |= {name: text for name, text in optional.items() if text}
    params |= {f"net{i}": network(each, target, i) for i, each in enumerate(spec.networks)}
    params |= {f"mp{i}": _mount(each) for i, each in enumerate(spec.mounts) if not each.is_bind}
    return params


def listed(text: str) -> str:
    """Return a list of Proxmox's with one blank between two items; it takes commas and semicolons as well."""
    return " ".join(_SEPARATORS.sub(" ", text).split())


def names_over_ssh(features: Mapping[str, bool | str], *, unprivileged: bool) -> tuple[str, ...]:
    """Return the names of the features that no API token may set.

    Through the API a token may set only `nesting`, and only on unprivileged containers (PVE 9.2, observed).
    """
    return tuple(name for name in sorted(flags(features)) if name != "nesting" or not unprivileged)


def flags(features: Mapping[str, bool | str]) -> dict[str, str]:
    """Return features as Proxmox writes them, without those that are off."""
    texts = {name: str(int(value)) if isinstance(value, bool) else value for name, value in features.items()}
    return {name: text for name, text in texts.items() if text not in {"", "0"}}


def is_roots(key: str) -> bool:
    """Return whether no API token may revert a setting: Proxmox asks for root's own login, or SSH."""
    return key in {"features", "hookscript"} or key.startswith("dev")


def network(spec: NetworkSpec, target: Target, index: int) -> str:
    """Return a new network device as Proxmox writes it."""
    named = spec.model_copy(update={"hwaddr": spec.hwaddr or marks.hwaddr(target.container, index)})
    return device(named) + ",type=veth"


def device(spec: NetworkSpec) -> str:
    """Return the fields of a network device that are set, as Proxmox writes them."""
    names = ("name", "bridge", "hwaddr", "ip", "gw", "ip6", "gw6", *TAKEN_AWAY, "firewall", "link_down")
    fields = {name: getattr(spec, name) for name in names}
    return property_string({name: value for name, value in fields.items() if name not in TAKEN_AWAY or value})


def differences(spec: ContainerSpec, config: ContainerConfig, target: Target) -> tuple[str, ...]:
    """Return the names of settings that the container's config does not have as the spec asks."""
    differing = [name for name in _COMPARED if _differs(name, getattr(spec, name), config)]
    if set(spec.tags) - set(config.tags) and {tag.lower() for tag in spec.tags} != set(config.tags):
        differing.append("tags")
    if spec.startup and startup_of(spec.startup) != config.startup:
        differing.append("startup")
    if {f"{name}={value}" for name, value in spec.env.items()} - set((config.env or "").split("\0")):
        differing.append("env")
    features = flags(spec.features)
    differing += [f"features.{name}" for name, text in features.items() if config.flags.get(name) != text]
    for index, each in enumerate(spec.networks):
        present = config.networks.get(f"net{index}", {})
        for key, value in options(network(each, target, index)).items():
            if present.get(key, "").lower() != value.lower():
                differing.append(f"net{index}.{key}")
    return (*differing, *_other_disks(spec, config))


def _differs(name: str, value: object, config: ContainerConfig) -> bool:
    present = getattr(config, name)
    if name == "console" and present is None:
        present = True
    if name in LISTS:
        value, present = listed(str(value or "")), listed(str(present or ""))
    return value is not None and (value or None) != (present or None)


def _other_disks(spec: ContainerSpec, config: ContainerConfig) -> Iterator[str]:
    """Return the names of disks that are smaller than asked for, elsewhere, or missing."""
    disks: dict[str, tuple[str | None, float | None, str | None]] = {
        f"mp{index}": (each.storage, each.size, normpath(each.path))
        for index, each in enumerate(spec.mounts)
        if not each.is_bind
    }
    disks["rootfs"] = (spec.storage, spec.disk, None)
    for name, (storage, size, path) in sorted(disks.items()):
        present = config.mounts.get(name, {})
        present_size = gib(present.get("size", ""))
        if (present.get("volume", "").partition(":")[0], present.get("mp")) != (storage, path):
            yield name
        elif size is not None and present_size is not None and present_size < size - _ROUNDED:
            yield f"{name}.size"


def _mount(spec: MountSpec) -> str:
    fields = {"backup": spec.backup, "ro": spec.readonly, "acl": spec.acl, "quota": spec.quota}
    flags = property_string(fields)
    return f"{spec.storage}:{number(spec.size or 0)},mp={spec.path}" + (f",{flags}" if flags else "")


def property_string(fields: Mapping[str, object]) -> str:
    """Return fields as one text of Proxmox's: `name=eth0,firewall=1`."""
    texts = {
        name: str(int(value)) if isinstance(value, bool) else str(_plain(value))
        for name, value in fields.items()
        if value is not None
    }
    return ",".join(f"{name}={text}" for name, text in texts.items())


def _plain(value: Any) -> Any:
    """Return a fraction without an exponent: Proxmox reads no `1e-05`."""
    return number(value) if isinstance(value, float) else value


def number(value: float) -> str:
    """Return a number with all its digits and without an exponent, which Proxmox does not read in a size."""
    text = f"{Decimal(repr(float(value))):f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
