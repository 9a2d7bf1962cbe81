"""How old a state is, and what is wrong with the hosts: nothing unseen is shown as if it were seen."""

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

FRESH = timedelta(seconds=15)
"""An older look is the past."""
FRESH_IN_OUTAGE = timedelta(seconds=8)
"""The same during an outage: looks stand still then, or come late."""


def is_live(container: Mapping[str, Any]) -> bool:
    """Whether addresses in a container lead somewhere: it is ready, and ran when it was last looked at."""
    return (container["lifecycle"], container["power"]) == ("ready", "running")


def state_of(state: str, item: Mapping[str, Any], now: datetime) -> str:
    """Return the state of a container or a node, with the time of the last look unless that is now."""
    at = item.get("looked_at")
    if at is None:
        return f"{state}, not seen" if item.get("outage") else state
    moment = datetime.fromisoformat(at)
    if now - moment <= (FRESH_IN_OUTAGE if item.get("outage") else FRESH):
        return state
    local = moment.astimezone()
    is_today = local.date() == now.astimezone().date()
    return f"{state}, last seen {local:%H:%M}" if is_today else f"{state}, last seen {local:%Y-%m-%d %H:%M}"


def outages_of(clusters: list[dict[str, Any]]) -> Iterator[str]:
    """Yield a sentence for each outage of the clusters and their nodes."""
    for cluster in clusters:
        outage = cluster.get("outage")
        if outage:
            yield sentence(f"Cluster {cluster['name']}", outage)
        for node in cluster["nodes"]:
            own = node.get("outage")
            if own and (outage is None or own["code"] != outage["code"]):
                yield sentence(f"Node {node['node']} of {cluster['name']}", own)


def sentence(subject: str, outage: Mapping[str, Any]) -> str:
    """Return what is wrong with something, since when, and what to do about it."""
    since = datetime.fromisoformat(outage["since"]).astimezone()
    message = f"{subject}: {outage['message']} {outage['remedy']}"
    return f"{message} (since {since:%Y-%m-%d %H:%M:%S}, {outage['code']})"
