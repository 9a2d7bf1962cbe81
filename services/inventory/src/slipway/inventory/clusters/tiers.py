"""Refuses what a cluster's tier of trust does not include. Pure."""

from slipway.contracts.job_kinds import KINDS, JobKind
from slipway.contracts.tiers import Tier, TierTooLow


def refuse_below(tier: str, kind: JobKind, *, cluster: str) -> None:
    """Refuse a kind of job that needs a higher tier than its cluster has.

    Args:
        tier: the cluster's.
        kind: of the job.
        cluster: its name.
    """
    has, needed = Tier(tier), KINDS[kind].tier
    if has.covers(needed):
        return
    raise TierTooLow(
        f"Cluster {cluster} has tier {has}, and {kind} needs {needed}. To raise it: `slipway cluster access "
        f"{cluster} --connect ADDRESS --tier {needed}` with a node's address, or run the token script on a "
        f"node under the same ID with TIER={needed} and send what it prints (PUT /api/v1/clusters/"
        f"{cluster}/access).",
        cluster=cluster,
        tier=has,
        needed=needed,
    )
