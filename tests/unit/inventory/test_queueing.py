"""Who begins next on a node, and who after that."""

from slipway.contracts.job_kinds import JobKind
from slipway.inventory.jobs.scheduling import Entry, Limits, choose, order

LIMITS = Limits(jobs=4, creations=2)


def entry(job: str, actor: str = "ada", kind: JobKind = JobKind.START) -> Entry:
    """Return a job."""
    return Entry(job=job, kind=kind, actor=actor)


def names(entries: tuple[Entry, ...]) -> str:
    """Return jobs as one word."""
    return "".join(each.job for each in entries)


def test_turns_are_fair_between_people() -> None:
    """Who has the fewest jobs running goes first, then who waits longest; positions say the same."""
    waiting = [entry("a"), entry("b"), entry("c"), entry("d", "bob"), entry("e", "bob")]

    assert names(choose(waiting, [entry("0", "bob")], LIMITS)) == "abd"
    assert names(order(waiting, [entry("0", "bob")], LIMITS)) == "abdce"


def test_creations_and_copies_share_their_limit_and_hold_up_nothing_else() -> None:
    """What there is room for goes before them, also of the same person."""
    running = [entry("0", kind=JobKind.CLONE), entry("1", kind=JobKind.CREATE)]
    waiting = [entry("a", kind=JobKind.CLONE), entry("b", kind=JobKind.CREATE), entry("c")]

    assert names(choose(waiting, running, LIMITS)) == "c"
    assert names(order(waiting, running, LIMITS)) == "cab"


def test_a_full_node_begins_nothing() -> None:
    """Whoever waits keeps its place."""
    running = [entry(str(number)) for number in range(4)]

    assert choose([entry("a")], running, LIMITS) == ()
    assert names(order([entry("b"), entry("a")], running, LIMITS)) == "ab"
