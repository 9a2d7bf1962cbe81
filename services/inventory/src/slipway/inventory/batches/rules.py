"""Rules of batches: allowed kinds, counts and states, names, the hash of a plan. Pure."""

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from slipway.contracts.batches import BatchCounts
from slipway.contracts.bulk import PlanItem
from slipway.contracts.container_specs import ContainerSpec
from slipway.contracts.job_args import KindAndArgs
from slipway.contracts.job_kinds import KINDS, Args, JobKind
from slipway.contracts.problems import Conflict, Problem, ProblemKind
from slipway.contracts.values import JobState, OnFailure
from slipway.inventory.containers.validation.texts import LONGEST_HOSTNAME, LONGEST_LABEL
from slipway.inventory.faults import at
from slipway.inventory.jobs import validation
from slipway.inventory.jobs.validation import JobInvalid

LONGEST_MESSAGE = 240
"""Characters of an item's error that its batch repeats; the job of the item has the whole."""
MOST_NAMED = 20
_LONGEST_HOST = LONGEST_LABEL - len("-12345")
_LONGEST_NAME = LONGEST_HOSTNAME - len("-12345")
"""Of a name that numbers go into."""


class PlanNeeded(Conflict):
    """A batch that destroys needs the hash of its plan."""

    code = "plan.needed"


class PlanChanged(Conflict):
    """The request means something else than the plan that was shown."""

    code = "plan.changed"


class BatchCommand(KindAndArgs):
    """The command of a batch, as its row holds it."""

    selection: str = ""
    """Empty for creations."""
    on_failure: OnFailure = OnFailure.KEEP
    cancel_requested: bool = False


def check(kind: JobKind, args: Args) -> None:
    """Refuse what can't be requested for many containers; every fault names its field."""
    if kind is JobKind.DELETE:
        return
    if kind.creates_container:
        raise at("kind", JobInvalid, f"{kind} is requested for one container at a time.")
    validation.check(kind, args)
    if "hostname" in args.values():
        raise at("args.hostname", JobInvalid, "Several containers can't have one name; change them singly.")


def check_many(spec: ContainerSpec) -> None:
    """Refuse what only one of several new containers could have."""
    host, _, _ = spec.hostname.partition(".")
    if len(host) > _LONGEST_HOST or len(spec.hostname) > _LONGEST_NAME:
        message = (
            f"It has up to {_LONGEST_HOST} characters before its first dot, and {_LONGEST_NAME} in all, so "
            "that a number fits in."
        )
        raise at("hostname", JobInvalid, message)
    if spec.vmid is not None:
        raise at("vmid", JobInvalid, "Several containers can't have the same VMID; leave it out.")
    for index, network in enumerate(spec.networks):
        for name in ("ip", "ip6"):
            if "/" in (getattr(network, name) or ""):
                message = "Several containers can't have the same address."
                raise at(f"networks.{index}.{name}", JobInvalid, message)
        if network.hwaddr is not None:
            raise at(f"networks.{index}.hwaddr", JobInvalid, "Several containers can't have the same one.")


def names(base: str, count: int, taken: Iterable[str]) -> tuple[str, ...]:
    """Return the next free names: `web-1`, `web-2`, ..., or `mail-1.example.com`; case does not count."""
    host, dot, domain = base.partition(".")
    used = {name.lower() for name in taken}
    chosen: list[str] = []
    number = 0
    while len(chosen) < count:
        number += 1
        name = f"{host}-{number}{dot}{domain}"
        if name.lower() not in used:
            chosen.append(name)
    return tuple(chosen)


def counted(states: Mapping[str, int]) -> BatchCounts:
    """Count items by their state."""
    return BatchCounts(total=sum(states.values()), **{str(JobState(name)): n for name, n in states.items()})


def moved_count(counts: BatchCounts, before: JobState, after: JobState) -> BatchCounts:
    """Return the counts after an item went from one state into another."""
    states = Counter({name: number for name, number in counts if name != "total"})
    states[str(before)] -= 1
    states[str(after)] += 1
    return counted(states)


def percent(counts: BatchCounts) -> int:
    """Return how much of a batch has ended."""
    ended = counts.succeeded + counts.failed + counts.cancelled
    return 100 * ended // max(counts.total, 1)


def ending(counts: BatchCounts, *, cancel_requested: bool) -> tuple[JobState, Problem | None]:
    """Return where a batch stands by its items, and why it failed if it did."""
    if counts.queued + counts.running:
        return (JobState.QUEUED if counts.queued == counts.total else JobState.RUNNING), None
    if counts.succeeded == counts.total:
        return JobState.SUCCEEDED, None
    if cancel_requested and counts.cancelled:
        return JobState.CANCELLED, None
    details = {name: str(number) for name, number in counts if number}
    message = (
        f"{counts.failed + counts.cancelled} of {counts.total} items did not succeed"
        f" ({counts.failed} failed, {counts.cancelled} cancelled); each item says why."
    )
    return JobState.FAILED, Problem(
        kind=ProblemKind.FAILED, code="batch.items-failed", message=message, details=details
    )


def shortened(problem: Problem | None) -> Problem | None:
    """Return what a batch repeats of an item's error: a thousand of them must fit into one message."""
    if problem is None:
        return None
    stored = {name: text for name, text in problem.details.items() if name in {"job", "step", "state"}}
    text = problem.message
    text = text if len(text) <= LONGEST_MESSAGE else f"{text[: LONGEST_MESSAGE - 1]}…"
    return problem.model_copy(update={"message": text, "details": stored, "errors": ()})


def hash_of(kind: JobKind, args: Args, items: Sequence[PlanItem]) -> str:
    """Return the hash that names exactly these containers and these arguments."""
    what = [str(kind), args.model_dump(mode="json", exclude_none=True), identities(items)]
    return hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()


def identities(items: Sequence[PlanItem]) -> list[list[str]]:
    """Return what an item must keep to be the one that was shown, and its name for people."""
    return [[each.container or "", each.cluster, each.node, str(each.vmid), each.hostname] for each in items]


def destroys(kind: JobKind, args: Args, items: Sequence[PlanItem]) -> tuple[str, ...]:
    """Return what a batch would destroy, a text for each item."""
    spec = KINDS[kind]
    possible = [each for each in items if each.error is None]
    return tuple(
        loss for each in possible for loss in spec.loss_of(args, vmid=each.vmid, hostname=each.hostname)
    )


def refuse_unshown(
    kind: JobKind,
    requested: str | None,
    current: str,
    shown: list[list[str]] | None,
    items: Sequence[PlanItem],
) -> None:
    """Refuse a batch whose plan was not shown, or shown otherwise.

    Args:
        kind: what is to be done.
        requested: the hash that came with the request.
        current: the hash of what would be done now.
        shown: the identities of the plan that was shown under `requested`, if it is still stored.
        items: what would be done now.
    """
    if requested == current or (requested is None and not kind.destroys):
        return
    if requested is None:
        message = (
            f"{kind} of {len(items)} containers destroys; ask for its plan first (?plan=true), look at it,"
            " and send its hash as `plan`."
        )
        raise at("plan", PlanNeeded, message, plan=current)
    message = f"What this means is not what was shown: {_difference(shown, identities(items))} Look again."
    raise at("plan", PlanChanged, message, plan=current)


def _difference(shown: list[list[str]] | None, current: list[list[str]]) -> str:
    if shown is None:
        return "no plan of the last day has this hash."
    come = [each for each in current if each not in shown]
    gone = [each for each in shown if each not in current]
    if not come and not gone:
        return "the kind or the arguments are others."
    changes = [f"{word} {_named(some)}" for word, some in (("new:", come), ("no longer:", gone)) if some]
    return "; ".join(changes) + "."


def _named(some: list[list[str]]) -> str:
    names = [f"{name or 'container'} ({vmid} on {node})" for _, _, node, vmid, name in some[:MOST_NAMED]]
    named = ", ".join(names)
    return named + (f" and {len(some) - MOST_NAMED} more" if len(some) > MOST_NAMED else "")
