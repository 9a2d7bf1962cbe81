"""How old what is shown is, and what is wrong with the hosts: nothing unseen is told as if it were seen."""

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

FRESH = timedelta(seconds=15)
"""What was looked at longer ago is the past."""
FRESH_IN_OUTAGE = timedelta(seconds=8)
"""The same of what is known to be with an outage: looks stand still then, or come late."""


def is_live(container: Mapping[str, Any]) -> bool:
    """Whether addresses in a container lead somewhere: it is ready, and ran when it was last looked at."""
    return (container["lifecycle"], container["power"]) == ("ready", "running")


def state_of(state: str, seen: Mapping[str, Any], now: datetime) -> str:
    """Give a state, with the time when it was last so unless that is now."""
    at = seen.get("looked_at")
    if at is None:
        return f"{state}, not seen" if seen.get("outage") else state
    moment = datetime.fromisoformat(at)
    if now - moment <= (FRESH_IN_OUTAGE if seen.get("outage") else FRESH):
        return state
    there = moment.astimezone()
    is_today = there.date() == now.astimezone().date()
    return f"{state}, last seen {there:%H:%M}" if is_today else f"{state}, last seen {there:%Y-%m-%d %H:%M}"


def outages_of(clusters: list[dict[str, Any]]) -> Iterator[str]:
    """Say what is wrong with clusters and their nodes, since when, and what to do about it."""
    for cluster in clusters:
        outage = cluster.get("outage")
        if outage:
            yield told(f"Cluster {cluster['name']}", outage)
        for node in cluster["nodes"]:
            own = node.get("outage")
            if own and (outage is None or own["code"] != outage["code"]):
                yield told(f"Node {node['node']} of {cluster['name']}", own)


def told(what: str, outage: Mapping[str, Any]) -> str:
    """Say what is wrong with something, since when, and what to do about it."""
    since = datetime.fromisoformat(outage["since"]).astimezone()
    words = f"{what}: {outage['message']} {outage['remedy']}"
    return f"{words} (since {since:%Y-%m-%d %H:%M:%S}, {outage['code']})"
