"""What a new container takes from the site defaults of its cluster, and what can't work at the site. Pure.

A request's own value wins. What was taken is named with its field, so that a plan shows where it came from.
"""

from collections.abc import Iterator, Mapping, Sequence

from slipway.contracts.cluster_facts import NodeFacts
from slipway.contracts.cluster_settings import SiteDefaults
from slipway.contracts.container_specs import ContainerSpec, GuestSettings, NetworkSpec
from slipway.contracts.problems import FieldError, Invalid
from slipway.contracts.templates import Manifest
from slipway.inventory.containers import defaults
from slipway.inventory.containers.validation import guest
from slipway.inventory.containers.validation.ssh_keys import keys
from slipway.inventory.faults import refuse

_TEXTS = ("storage", "ssh_public_keys", "nameserver", "searchdomain", "timezone")
_MAY_BE_NONE = ("ssh_public_keys", "nameserver", "searchdomain")
"""An empty one in a request is neither the site's nor another: no key, and the node's DNS."""
_WAYS: Mapping[str, tuple[str, ...]] = {
    "apt": ("apt_mirror", "apt_cache", "http_proxy"),
    "apk": ("apk_mirror", "http_proxy"),
}
"""The settings through which a package manager reaches its packages; others have the proxy alone."""


class SiteDefaultUnusable(Invalid):
    """A site default does not fit the node that the container would go to."""

    code = "site-default.unusable"


class OutgoingBlocked(Invalid):
    """It needs what is outside, and the site lets nothing out."""

    code = "site.outgoing-blocked"


def applied(spec: ContainerSpec, site: SiteDefaults) -> tuple[ContainerSpec, Mapping[str, str]]:
    """Return a request completed by the site defaults, and what it took from them by field."""
    taken = {name: value for name in _TEXTS if getattr(spec, name) is None and (value := getattr(site, name))}
    shown = dict(taken)
    if "ssh_public_keys" in taken:
        shown["ssh_public_keys"] = f"{len(list(keys(taken['ssh_public_keys'])))} public keys"
    if tags := [each for each in site.tags if each not in spec.tags]:
        shown["tags"] = ", ".join(tags)
    networks, of_networks = _networks(spec.networks, site)
    in_guest, of_guest = _guest(spec.guest or GuestSettings(), site)
    none = {name: None for name in _MAY_BE_NONE if getattr(spec, name) == ""}
    update = {**taken, **none, "tags": (*tags, *spec.tags), "networks": networks, "guest": in_guest}
    return spec.model_copy(update=update), {**shown, **of_networks, **of_guest}


def refuse_unusable(taken: Mapping[str, str], node: NodeFacts, cluster: str) -> None:
    """Refuse site defaults that the node does not have; the request did not name them, so say whose they are.

    Raises:
        SiteDefaultUnusable: names the field that takes another value.
    """
    storages = [each.name for each in defaults.disk_storages(node)]
    bridges = [each.name for each in node.bridges]
    refuse(SiteDefaultUnusable, _unusable(taken, node.node, cluster, storages, bridges))


def refuse_outside(spec: ContainerSpec, manifest: Manifest | None) -> None:
    """Refuse a complete container that needs what is outside, where nothing gets out.

    Raises:
        OutgoingBlocked: names each field, and what would make it work.
    """
    if spec.guest is not None and spec.guest.is_outgoing_blocked:
        refuse(OutgoingBlocked, _outside(spec, spec.guest, manifest))


def _networks(
    networks: Sequence[NetworkSpec], site: SiteDefaults
) -> tuple[tuple[NetworkSpec, ...], Mapping[str, str]]:
    if not (site.bridge or site.vlan):
        return tuple(networks), {}
    completed: list[NetworkSpec] = []
    taken: dict[str, str] = {}
    for index, network in enumerate(networks or (NetworkSpec(),)):
        update: dict[str, object] = {}
        if network.bridge is None:
            update = {"bridge": site.bridge} if site.bridge else {}
            update |= {"tag": site.vlan} if site.vlan and network.tag is None else {}
        completed.append(network.model_copy(update=update))
        taken |= {f"networks.{index}.{name}": str(value) for name, value in update.items()}
    return tuple(completed), taken


def _guest(requested: GuestSettings, site: SiteDefaults) -> tuple[GuestSettings | None, Mapping[str, str]]:
    names = [name for name in GuestSettings.model_fields if getattr(requested, name) is None]
    taken = {name: value for name in names if (value := getattr(site, name))}
    shown = {f"guest.{name}": _shown(name, value) for name, value in taken.items()}
    return guest.normal(requested.model_copy(update=taken)), shown


def _shown(name: str, value: object) -> str:
    if value is True:
        return "yes"
    return guest.summary(str(value)) if name == "ca" else str(value)


def _unusable(
    taken: Mapping[str, str], node: str, cluster: str, storages: Sequence[str], bridges: Sequence[str]
) -> Iterator[FieldError]:
    for field, value in taken.items():
        name = field.rpartition(".")[2]
        there = {"storage": storages, "bridge": bridges}.get(name)
        if there is not None and value not in there:
            what = "storage for container disks" if name == "storage" else "bridge"
            message = (
                f"The site defaults of cluster {cluster} say {value}, and node {node} has no such {what} now "
                f"(it has: {', '.join(sorted(there)) or 'none'}). Give one, another node, or change the "
                f"defaults (`slipway cluster defaults set {cluster} ...`)."
            )
            yield FieldError(field=field, message=message)


def _outside(spec: ContainerSpec, of_guest: GuestSettings, manifest: Manifest | None) -> Iterator[FieldError]:
    why = "outgoing traffic is blocked at this site"
    if ":" not in str(spec.ostemplate):
        message = (
            f"Node {spec.node} would download {spec.ostemplate}, and {why}: put it on one of its storages."
        )
        yield FieldError(field="ostemplate", message=message)
    of_template = [("template", each.manager, each.names) for each in (manifest.packages if manifest else ())]
    of_request = [(f"packages.{index}", each.manager, each.names) for index, each in enumerate(spec.packages)]
    for field, manager, names in (*of_template, *of_request):
        ways = _WAYS.get(manager, ("http_proxy",))
        if names and not any(getattr(of_guest, way) for way in ways):
            message = (
                f"It has packages of {manager}, and {why}: set {' or '.join(ways)}, in the site defaults "
                "or for this container (`guest`)."
            )
            yield FieldError(field=field, message=message)
