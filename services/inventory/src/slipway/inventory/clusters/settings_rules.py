"""Checks the settings that an admin makes for a cluster. Pure; every fault names its field."""

from collections.abc import Iterator
from posixpath import normpath

from slipway.contracts.cluster_settings import ClusterLimits
from slipway.contracts.problems import FieldError, Invalid
from slipway.inventory.containers.validation.restricted import is_host_path
from slipway.inventory.containers.validation.texts import shown
from slipway.inventory.faults import refuse

MOST_MOUNT_PATHS = 64


class ClusterSettingsInvalid(Invalid):
    """The settings can't be those of the cluster."""

    code = "cluster-settings.invalid"


def normal_limits(limits: ClusterLimits) -> ClusterLimits:
    """Return limits with each path once and in the one way in which paths compare.

    Raises:
        ClusterSettingsInvalid: names each field that is wrong.
    """
    paths = [_normal_path(each) for each in limits.mount_paths]
    refuse(ClusterSettingsInvalid, _limit_faults(limits, paths))
    return limits.model_copy(update={"mount_paths": tuple(dict.fromkeys(paths))})


def _limit_faults(limits: ClusterLimits, paths: list[str]) -> Iterator[FieldError]:
    if len(paths) > MOST_MOUNT_PATHS:
        yield FieldError(field="mount_paths", message=f"At most {MOST_MOUNT_PATHS}.")
        return
    if paths and not limits.restricted_keys:
        message = "Mount paths allow nothing while restricted_keys is off: set both, or leave the paths out."
        yield FieldError(field="mount_paths", message=message)
    for index, (given, path) in enumerate(zip(limits.mount_paths, paths, strict=True)):
        if ".." in given.split("/") or not (path == "/" or is_host_path(path)):
            message = (
                f"{shown(given)} is not an absolute host path of ASCII without `..`, commas and equals signs."
            )
            yield FieldError(field=f"mount_paths.{index}", message=message)


def _normal_path(path: str) -> str:
    # Two slashes at the beginning are a place of their own to POSIX, and the same one to Linux.
    return f"/{normpath(path).lstrip('/')}" if path.startswith("/") else path
