"""What the operator allows a container on its host, beyond Proxmox's own tokens.

A bind mount, a device or a hookscript can amount to root on the host, so nothing is allowed unless a setting
says so, and a bind mount only below paths that are listed.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from posixpath import isabs, normpath
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator
from pydantic_settings import NoDecode

from slipway.runtime.process.settings import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class HostAccessPolicy:
    """What containers may do on their host."""

    is_allowed: bool = False
    """Whether restricted keys are allowed at all."""
    paths: tuple[str, ...] = ()
    """Host paths below which a bind mount may begin, normalised."""


NONE = HostAccessPolicy()


def is_below(path: str, roots: Iterable[str]) -> bool:
    """Whether a normalised host path is one of these or below one of them."""
    return any(path == root or path.startswith(f"{root.rstrip('/')}/") for root in roots)


def _split(value: object) -> object:
    return tuple(part for part in value.split(":") if part) if isinstance(value, str) else value


def _normalised(paths: tuple[str, ...]) -> tuple[str, ...]:
    if wrong := [path for path in paths if not isabs(path) or ".." in path.split("/")]:
        raise ValueError(f"not an absolute path without ..: {wrong[0]}")
    return tuple("/" + normpath(path).lstrip("/") for path in paths)


class HostAccessSettings(Settings):
    """The policy for containers on their host; the same in inventory and provisioner."""

    restricted_keys: bool = False
    """Whether containers may have bind mounts, devices, hookscripts and the features `mknod`, `mount` and
    `force_rw_sys`. Each can amount to root on the host. Inventory refuses them otherwise, and the provisioner
    checks again before it applies them over SSH."""
    bind_mount_paths: Annotated[
        tuple[str, ...], NoDecode, BeforeValidator(_split), AfterValidator(_normalised)
    ] = ()
    """Host paths below which a bind mount may begin, separated by colons: `/srv/media:/srv/www`. Links on the
    host are resolved before the check. None allows no bind mount."""

    @property
    def host_access(self) -> HostAccessPolicy:
        """The policy as a value."""
        return HostAccessPolicy(is_allowed=self.restricted_keys, paths=self.bind_mount_paths)
