"""Decide whether a node's facts have changed enough to be published. Pure."""

from collections.abc import Mapping
from datetime import datetime, timedelta

from slipway.contracts.cluster_facts import NodeFacts, StorageFact

FREE_STEP = 0.01
"""Share of a storage by which its sizes must change to be published."""
PUBLISH_AGAIN = timedelta(minutes=5)
"""Unchanged facts are published again after this, so that their age stays true."""

FIELDS_OF_PART: Mapping[str, tuple[str, ...]] = {
    "storages": ("storages",),
    "os_templates": ("os_templates", "os_template_sizes"),
    "bridges": ("bridges",),
    "vnets": ("vnets",),
    "pools": ("pools", "knows_pools"),
    "appliances": ("appliances",),
    "architecture": ("architecture",),
    "gpus": ("gpus",),
    "devices": ("devices", "folders"),
    "vmids": ("vmids",),
}
"""The facts that are answered together; `parts_at` has their names."""

_LAST_IF_UNKNOWN = ("tls_fingerprint", "cluster_identity")


def is_worth_publishing(before: NodeFacts, after: NodeFacts) -> bool:
    """Return whether more than a little free space has changed, or much time has passed."""
    if after.observed_at - before.observed_at >= PUBLISH_AGAIN:
        return True
    return _without_sizes(before) != _without_sizes(after) or any(
        _have_sizes_changed(old, new) for old, new in zip(before.storages, after.storages, strict=True)
    )


def with_last_known(facts: NodeFacts, last: NodeFacts | None) -> NodeFacts:
    """Return the facts; the parts that were not answered now are the last known ones, with their age."""
    if last is None:
        return facts
    parts_at = {**last.parts_at, **facts.parts_at}
    if not facts.is_online:
        fresh = {"is_online", "is_ssh_usable", "ssh_problem", "ssh_limits", "observed_at", "vmids"}
        changes = {name: getattr(facts, name) for name in fresh}
        return last.model_copy(update={**changes, "parts_at": parts_at})
    stale = {name for part, names in FIELDS_OF_PART.items() if part not in facts.parts_at for name in names}
    stale |= {name for name in _LAST_IF_UNKNOWN if getattr(facts, name) is None}
    return facts.model_copy(update={**{name: getattr(last, name) for name in stale}, "parts_at": parts_at})


def _without_sizes(facts: NodeFacts) -> NodeFacts:
    """Return the facts without sizes and times, which always change."""
    unsized = {"free_bytes": None, "total_bytes": None, "looked_at": None}
    storages = tuple(each.model_copy(update=unsized) for each in facts.storages)
    outage = facts.outage and facts.outage.model_copy(update={"message": "", "remedy": ""})
    constant: dict[str, object] = {"storages": storages, "outage": outage, "looked_at": None, "parts_at": {}}
    return facts.model_copy(update={**constant, "observed_at": datetime.max})  # noqa: DTZ901  no time is meant


def _have_sizes_changed(old: StorageFact, new: StorageFact) -> bool:
    """Return whether a size has changed by a step; in a pooled storage the total follows the free space."""
    step = FREE_STEP * max(new.total_bytes or 0, 1)
    pairs = ((old.free_bytes, new.free_bytes), (old.total_bytes, new.total_bytes))
    return any(
        before != after and (before is None or after is None or abs(after - before) >= step)
        for before, after in pairs
    )
