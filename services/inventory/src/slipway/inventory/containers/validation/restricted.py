"""Checks the settings of a container that reach into its host, and whether its cluster allows them. Pure."""

import re
from collections.abc import Iterator
from posixpath import normpath

from slipway.contracts.cluster_settings import ClusterLimits
from slipway.contracts.container_specs import ContainerSpec
from slipway.contracts.problems import FieldError, Forbidden
from slipway.inventory.containers.validation.texts import shown
from slipway.runtime.process.host_paths import is_below

FEATURES = frozenset({"mknod", "mount", "force_rw_sys"})
"""Those that can reach the host; nesting, keyctl and fuse are everyone's."""
HOW_TO_ALLOW = (
    "`slipway cluster limits set CLUSTER --restricted-keys`, or PUT /api/v1/clusters/{cluster}/limits"
)
MOST_DEVICES = 256
_HOST_PATH = re.compile(r"(/[ -+\--.0-<>-~]+)+")
"""ASCII without a comma and an equals sign, which end a path within Proxmox's list of options."""
_DEVICE = re.compile(
    r"/dev(/(?!\.\.?(/|,|$))[ -+\--.0-<>-~]+)+(,((uid|gid)=[0-9]{1,10}|mode=0[0-7]{3}|deny-write=[01]))*"
)
_LONGEST_PATH = 4095
_HOOKSCRIPT = re.compile(r"[a-zA-Z][a-zA-Z0-9_.-]*[a-zA-Z0-9]:snippets/[ -.0-~]{1,255}")


class RestrictedKey(Forbidden):
    """It reaches into the host, and the cluster's limits do not allow that."""

    code = "restricted-key.forbidden"


def check(spec: ContainerSpec, limits: ClusterLimits) -> None:
    """Refuse what the cluster does not allow; every field is named.

    Raises:
        RestrictedKey: says how an admin allows it.
    """
    named = tuple(_named(spec))
    if named and not limits.restricted_keys:
        fields = ", ".join(each.field for each in named)
        raise RestrictedKey(
            f"{fields}: this reaches into the host and can amount to root there. An admin allows it for the "
            f"cluster: {HOW_TO_ALLOW}.",
            errors=named,
        )
    outside = tuple(_outside(spec, limits))
    if outside:
        raise RestrictedKey("; ".join(each.message for each in outside), errors=outside)


def faults(spec: ContainerSpec) -> Iterator[FieldError]:
    """Return faults that no permission makes right."""
    for index, mount in enumerate(spec.mounts):
        at = f"mounts.{index}"
        if not mount.is_bind:
            continue
        if not is_host_path(mount.storage):
            message = (
                f"{shown(mount.storage)} is not a host path that Proxmox can read back: absolute, ASCII, no "
                "comma, no equals sign, no `.` or `..` between slashes, no slash at the end."
            )
            yield FieldError(field=f"{at}.storage", message=message)
        for name in ("size", "backup", "acl", "quota"):
            if getattr(mount, name) is not None:
                yield FieldError(field=f"{at}.{name}", message="A bind mount takes path and readonly only.")
    if len(spec.devices) > MOST_DEVICES:
        yield FieldError(field="devices", message=f"At most {MOST_DEVICES}.")
    for index, device in enumerate(spec.devices):
        if len(device) > _LONGEST_PATH or not _DEVICE.fullmatch(device):
            message = (
                f"{shown(device)} is not like /dev/dri/renderD128 or /dev/net/tun,gid=44,mode=0660: below "
                "/dev, and after it only uid, gid, mode (0 and three octal digits) and deny-write (0 or 1)."
            )
            yield FieldError(field=f"devices.{index}", message=message)
    if spec.hookscript and not _HOOKSCRIPT.fullmatch(spec.hookscript):
        yield FieldError(field="hookscript", message="A volume like local:snippets/hook.pl.")


def is_host_path(text: str) -> bool:
    """Return whether a text is a normal host path that Proxmox can read back."""
    return len(text) <= _LONGEST_PATH and bool(_HOST_PATH.fullmatch(text)) and normpath(text) == text


def _named(spec: ContainerSpec) -> Iterator[FieldError]:
    needs = "It needs the cluster's limit restricted_keys."
    for index, mount in enumerate(spec.mounts):
        if mount.is_bind:
            yield FieldError(field=f"mounts.{index}.storage", message=f"A host path is a bind mount. {needs}")
    if spec.devices:
        yield FieldError(field="devices", message=f"A device of the host. {needs}")
    if spec.hookscript:
        yield FieldError(field="hookscript", message=f"A hookscript runs on the host, as root. {needs}")
    for name in sorted(FEATURES & {name for name, value in spec.features.items() if value}):
        yield FieldError(field=f"features.{name}", message=needs)


def _outside(spec: ContainerSpec, limits: ClusterLimits) -> Iterator[FieldError]:
    allowed = ", ".join(limits.mount_paths) or "none"
    for index, mount in enumerate(spec.mounts):
        if mount.is_bind and not is_below(normpath(mount.storage), limits.mount_paths):
            message = f"{mount.storage} is not below a mount path that the cluster allows: {allowed}."
            yield FieldError(field=f"mounts.{index}.storage", message=message)
