"""Checks the settings that an admin makes for a cluster. Pure; every fault names its field."""

from collections.abc import Iterator, Sequence
from posixpath import normpath

from slipway.contracts.cluster_facts import NodeFacts
from slipway.contracts.cluster_settings import ClusterLimits, SiteDefaults
from slipway.contracts.container_specs import ContainerSpec, GuestSettings
from slipway.contracts.problems import FieldError, Invalid
from slipway.inventory.containers import validation
from slipway.inventory.containers.validation import guest, networks
from slipway.inventory.containers.validation.restricted import is_host_path
from slipway.inventory.containers.validation.texts import shown
from slipway.inventory.faults import refuse

MOST_MOUNT_PATHS = 64
MOST_TAGS = 32
_LIKE_A_CONTAINER = ("nameserver", "searchdomain", "timezone", "ssh_public_keys", "tags")
"""Defaults with the rules that they have in a request."""


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


def normal_defaults(site: SiteDefaults, nodes: Sequence[NodeFacts]) -> SiteDefaults:
    """Return site defaults in the one way in which they are written; an empty text is none.

    Args:
        site: the defaults.
        nodes: the cluster's, whose storages and bridges are the ones to name.

    Raises:
        ClusterSettingsInvalid: names each field that is wrong.
    """
    site = site.model_copy(update={name: value or None for name, value in site if name != "tags"})
    refuse(ClusterSettingsInvalid, _default_faults(site, nodes))
    in_guest = guest.normal(site) or GuestSettings()
    tags = tuple(dict.fromkeys(site.tags))
    return SiteDefaults.model_validate({**dict(site), **dict(in_guest), "tags": tags})


def _default_faults(site: SiteDefaults, nodes: Sequence[NodeFacts]) -> Iterator[FieldError]:
    if len(site.tags) > MOST_TAGS:
        yield FieldError(field="tags", message=f"At most {MOST_TAGS}.")
        return
    values = {name: getattr(site, name) for name in _LIKE_A_CONTAINER}
    yield from validation.faults(ContainerSpec.model_validate({"hostname": "any", **values}))
    yield from guest.faults(site)
    if site.vlan is not None and site.vlan not in networks.VLANS:
        yield FieldError(field="vlan", message="A VLAN tag is 1 to 4094.")
    storages = {each.name for node in nodes for each in node.storages if "rootdir" in each.content}
    bridges = {bridge.name for node in nodes for bridge in node.bridges}
    for field, value, there, what in (
        ("storage", site.storage, storages, "storage for container disks"),
        ("bridge", site.bridge, bridges, "bridge"),
    ):
        if value is not None and value not in there:
            known = ", ".join(sorted(there)) or "none is known yet"
            message = f"No node of the cluster has a {what} {shown(value)}; there are: {known}."
            yield FieldError(field=field, message=message)


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
