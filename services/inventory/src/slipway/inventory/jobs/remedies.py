"""The actions that help after a failed job, by the code of its error. Pure."""

from collections.abc import Mapping
from types import MappingProxyType

HOPELESS = frozenset(
    {
        "backup.damaged",
        "backup.not-found",
        "clone.source-gone",
        "container.not-found",
        "disk.shrinks",
        "disk.too-large",
        "proxmox.container-missing",
        "proxmox.feature-missing",
        "proxmox.snapshot-missing",
        "proxmox.snapshot-taken",
        "restore.container-lost",
        "snapshot.exists",
        "snapshot.impossible",
        "snapshot.not-found",
        "template.render-failed",
    }
)
"""Errors that the same job meets again: it has to be asked for otherwise, or not at all."""
OF_CREATIONS = frozenset({"clone.source-gone", "template.render-failed"})
"""Those among them that also end every further try of a job that makes a container: it may make it anew."""
INSTEAD: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "restore.container-lost": ("restore",),
        "container.left-locked": ("unlock",),
    }
)
"""Other jobs that help, by their verbs."""


def is_retry_hopeless(code: str | None, *, creates_container: bool) -> bool:
    """Return whether the same job would fail again in the same way."""
    return code in (OF_CREATIONS if creates_container else HOPELESS)


def instead(code: str | None) -> tuple[str, ...]:
    """Return the verbs of other jobs that help after an error."""
    return INSTEAD.get(code or "", ())
