"""`slipway access`: how much Slipway may do to each cluster, and so what a stolen Slipway could do."""

import re
from collections.abc import Mapping
from typing import Annotated, Any

import typer

from slipway.cli.clusters import cluster_path
from slipway.cli.formats import print_document
from slipway.cli.session import Session, command
from slipway.cli.terminal import say
from slipway.contracts.tiers import TIERS, Tier, theft_at

ClusterArgument = Annotated[
    str | None, typer.Argument(help="name or id; all clusters by default", show_default=False)
]

_RANGE = re.compile(r"([0-9]+)(?:-([0-9]+))?")

app = typer.Typer(
    rich_markup_mode=None, no_args_is_help=True, help="show what Slipway may do, and a stolen one could"
)


@app.callback()
def _access() -> None:
    """Show what Slipway may do, and a stolen one could."""


@command(app, "show", "show the tier of trust of each cluster, and what a stolen Slipway could do to it")
async def _show(session: Session, cluster: ClusterArgument = None) -> None:
    async with session.connect() as client:
        clusters = [await client.get(cluster_path(cluster))] if cluster else await client.items("/clusters")
    shown = [access_of(each) for each in clusters]
    if session.form.is_whole:
        print_document({"items": shown, "next": None}, session.form)
        return
    if session.form == "name":
        session.print_list(shown, (), name="cluster")
        return
    for each in shown:
        say(f"Cluster {each['cluster']}, tier {each['tier']}: {TIERS[Tier(each['tier'])].summary}")
        for node, key in each["ssh"].items():
            say(f"  SSH to {node}: {key}")
    rows = [
        {"cluster": each["cluster"], "tier": each["tier"], "a stolen Slipway": verb, "what": text}
        for each in shown
        for verb, texts in (("could", each["could"]), ("could not", each["could_not"]))
        for text in texts
    ]
    session.print_list(rows, ("cluster", "tier", "a stolen Slipway", "what"), name="cluster")


def access_of(cluster: Mapping[str, Any]) -> dict[str, Any]:
    """Return a cluster's tier, how its nodes are reached over SSH, and what a stolen Slipway could do."""
    tier = Tier(cluster.get("tier", Tier.FULL))
    nodes = cluster["nodes"] if tier.uses_ssh else ()
    usable = [each for each in nodes if each["is_ssh_usable"]]
    # Root's authorized_keys is one file for the whole cluster: a node that is away takes the same.
    is_bound = bool(usable) and all(each.get("ssh_limits") for each in usable)
    theft = theft_at(tier, is_bound=is_bound)
    return {
        "cluster": cluster["name"],
        "tier": tier,
        "ssh": {each["node"]: _ssh_of(each) for each in nodes},
        "could": list(theft.could),
        "could_not": list(theft.could_not),
    }


def beyond_key(cluster: Mapping[str, Any]) -> str | None:
    """Return what is said if Slipway chooses VMIDs that its SSH key may not enter; None if it does not."""
    limits = {each["ssh_limits"] for each in cluster["nodes"] if each.get("ssh_limits")}
    bound = [part[6:] for each in limits for part in each.split("; ") if part.startswith("vmids ")]
    if len(bound) != 1:
        return None
    own = cluster["vmids"]
    ranges = [(int(first), int(last or first)) for first, last in _RANGE.findall(bound[0])]
    if own and any(first <= own["first"] and own["last"] <= last for first, last in ranges):
        return None
    chosen = f"from {own['first']}-{own['last']}" if own else "any free one"
    return (
        f"The SSH key may enter the VMIDs {bound[0]} only, and Slipway chooses {chosen}: name those to "
        f"choose from with `slipway cluster vmid-range {cluster['name']} FIRST-LAST`."
    )


def _ssh_of(node: Mapping[str, Any]) -> str:
    if limits := node.get("ssh_limits"):
        return f"bound to {limits}"
    return "not bound" if node["is_ssh_usable"] else f"not usable now: {node.get('ssh_problem') or 'unknown'}"
