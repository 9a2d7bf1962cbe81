"""Checks requests for containers. Pure; every fault names its field.

Where Proxmox has a limit, it is the official schema's (`POST /nodes/{node}/lxc`, PVE 9.2).
"""

import re
from collections.abc import Iterator

from slipway.contracts.cluster_facts import NodeFacts
from slipway.contracts.cluster_settings import DENIED, ClusterLimits
from slipway.contracts.container_specs import ContainerSpec
from slipway.contracts.problems import FieldError, Invalid
from slipway.contracts.templates import Manifest
from slipway.inventory.containers.archives import ARCHITECTURES
from slipway.inventory.containers.validation import content, guest, networks, restricted, texts, timezones
from slipway.inventory.faults import at, refuse

_PACKAGE = re.compile(r"^[a-zA-Z0-9@][a-zA-Z0-9@/_.:~+=<>-]{0,127}$")
_POOL = re.compile(r"[A-Za-z0-9._-]+(/[A-Za-z0-9._-]+){0,2}")
_MANAGERS = {"apt", "apk", "dnf", "pip", "npm"}
_FEATURES = {"nesting", "keyctl", "fuse", "mknod", "mount", "force_rw_sys"}
LEAST_PASSWORD = 5
"""Of root's password (official schema, `password` of `POST /nodes/{node}/lxc`: minLength 5)."""
_LONGEST_SECRET = 1024
_LONGEST_PASSWORD = 511
"""Bytes of root's: crypt(3) hashes no longer one, and nobody could sign in."""
_MOST_MIB = 2**43 - 1
"""The kernel counts bytes in 63 bits; Proxmox has no upper bound."""
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_LIMITS: dict[str, tuple[float, float]] = {
    "vmid": (100, 999_999_999),
    "cores": (1, 8192),
    "cpulimit": (0, 8192),
    "cpuunits": (0, 500_000),
    "memory": (16, _MOST_MIB),
    "swap": (0, _MOST_MIB),
    "disk": content.DISK,
    "tty": (0, 6),
}


_SIZES = frozenset({"memory", "swap", "disk"})


class ContainerInvalid(Invalid):
    """The container can't be as it was requested."""

    code = "container.invalid"


def check_source(spec: ContainerSpec) -> None:
    """Refuse a request that names nothing to build from, before anything else is asked."""
    if spec.template is None and spec.ostemplate is None:
        message = "Give a template's name, or an ostemplate to start from scratch."
        raise at("template", ContainerInvalid, message)


def check_secret(field: str, secret: str) -> None:
    """Refuse a secret that Proxmox or a shell's environment can't carry; its value is never repeated."""
    if field == "password" and len(secret) < LEAST_PASSWORD:
        raise at(field, ContainerInvalid, f"Proxmox wants at least {LEAST_PASSWORD} characters.")
    if _CONTROL.search(secret) or len(secret) > _LONGEST_SECRET:
        message = f"A secret is up to {_LONGEST_SECRET} characters on one line, without control characters."
        raise at(field, ContainerInvalid, message)
    if field == "password" and len(secret.encode()) > _LONGEST_PASSWORD:
        message = f"At most {_LONGEST_PASSWORD} bytes: Linux hashes no longer password."
        raise at(field, ContainerInvalid, message)


def check(
    spec: ContainerSpec, manifest: Manifest | None, node: NodeFacts, limits: ClusterLimits = DENIED
) -> None:
    """Refuse what breaks a rule, all faults together.

    Raises:
        RestrictedKey: for what reaches further into the host than the cluster's limits allow.
        ContainerInvalid: for anything else.
    """
    on_node = (*networks.bridges(spec.networks, node), *_places(spec, node))
    refuse(ContainerInvalid, (*faults(spec), *on_node, *_against(spec, manifest)))
    restricted.check(spec, limits)


def faults(spec: ContainerSpec) -> Iterator[FieldError]:
    """Return what no container may hold, whatever its node and its template."""
    yield from _words(spec)
    yield from _numbers(spec)
    yield from content.faults(spec)
    yield from networks.faults(spec.networks)
    yield from restricted.faults(spec)
    yield from _lists(spec)
    yield from texts.faults(dict(spec))
    if spec.guest is not None:
        yield from guest.faults(spec.guest, "guest.")


def _words(spec: ContainerSpec) -> Iterator[FieldError]:
    if spec.timezone is not None and (wrong := timezones.fault(spec.timezone)):
        yield FieldError(field="timezone", message=wrong)
    checks = (
        ("pool", _POOL, "a pool's name, nor up to three of them like team/web"),
        ("arch", re.compile("|".join(sorted(ARCHITECTURES))), "one of Proxmox's"),
        ("cmode", re.compile(r"^(shell|console|tty)$"), "shell, console or tty"),
    )
    for name, pattern, right in checks:
        value = getattr(spec, name)
        if value is not None and not pattern.fullmatch(value):
            yield FieldError(field=name, message=f"{texts.shown(value)} is not {right}.")


def _numbers(spec: ContainerSpec) -> Iterator[FieldError]:
    for name, (least, most) in _LIMITS.items():
        value = getattr(spec, name)
        if value is not None and not least <= value <= most:
            why = "; bytes are counted in 63 bits" if name in _SIZES and value > most else ""
            message = f"{value:.15g} is not between {least:.15g} and {most:.15g}{why}."
            yield FieldError(field=name, message=message)


def _places(spec: ContainerSpec, node: NodeFacts) -> Iterator[FieldError]:
    able = sorted(s.name for s in node.storages if s.is_active and "rootdir" in s.content)
    storages = [("storage", spec.storage)]
    storages += [
        (f"mounts.{i}.storage", mount.storage) for i, mount in enumerate(spec.mounts) if not mount.is_bind
    ]
    for field, storage in storages:
        if storage is not None and storage not in able:
            subject = f"{texts.shown(storage)} can't hold container disks on {node.node}"
            message = f"{subject}; these can: {', '.join(able)}."
            yield FieldError(field=field, message=message)
    if spec.pool is not None and node.knows_pools and spec.pool not in node.pools:
        pools = ", ".join(node.pools) or "none"
        yield FieldError(
            field="pool", message=f"There is no pool {texts.shown(spec.pool)}; there are: {pools}."
        )


def _lists(spec: ContainerSpec) -> Iterator[FieldError]:
    for index, packages in enumerate(spec.packages):
        if packages.manager not in _MANAGERS:
            yield FieldError(
                field=f"packages.{index}.manager", message=f"One of {', '.join(sorted(_MANAGERS))}."
            )
        for place, name in enumerate(packages.names):
            if not _PACKAGE.fullmatch(name):
                yield FieldError(
                    field=f"packages.{index}.names.{place}",
                    message=f"{texts.shown(name)} is not a package's name.",
                )
    for name in spec.features:
        if name not in _FEATURES:
            yield FieldError(field=f"features.{name}", message=f"One of {', '.join(sorted(_FEATURES))}.")


def _against(spec: ContainerSpec, manifest: Manifest | None) -> Iterator[FieldError]:
    scripts = {script.name for script in manifest.scripts} if manifest else set()
    for index, script in enumerate(spec.scripts or ()):
        if script not in scripts:
            yield FieldError(
                field=f"scripts.{index}", message=f"The template has no script {texts.shown(script)}."
            )
    variables = {variable.name: variable for variable in manifest.variables} if manifest else {}
    for name, value in spec.variables.items():
        variable = variables.get(name)
        if variable is None:
            yield FieldError(field=f"variables.{name}", message="The template has no such variable.")
        elif variable.is_secret:
            yield FieldError(field=f"variables.{name}", message="It is secret: it has to come sealed.")
        elif variable.pattern and not re.fullmatch(variable.pattern, value):
            yield FieldError(field=f"variables.{name}", message=f"It does not fit {variable.pattern}.")
    for name, variable in variables.items():
        if variable.is_required and not variable.is_secret and name not in spec.variables:
            yield FieldError(field=f"variables.{name}", message="The template needs a value.")
