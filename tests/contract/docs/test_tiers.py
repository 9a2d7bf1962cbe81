"""The page about tiers says what the contracts say."""

from pathlib import Path

from slipway.contracts.job_kinds import KINDS, JobKind
from slipway.contracts.tiers import BOUND, TIERS, UNBOUND, Theft, Tier

PAGE = Path(__file__).parents[3] / "docs" / "explanation" / "tiers.md"


def tables() -> str:
    """Return the page's tables."""
    lines = ["| tier | what Slipway does | jobs |", "|---|---|---|"]
    for tier, spec in TIERS.items():
        kinds = [each for each in JobKind if KINDS[each].tier is tier and each is not JobKind.BATCH]
        jobs = ", ".join(KINDS[each].verb for each in kinds) or "none"
        lines.append(f"| {tier} | {spec.summary} | {jobs} |")
    lines += ["", "| with | a stolen Slipway could | and could not |", "|---|---|---|"]
    for tier, spec in TIERS.items():
        lines.append(_theft(f"the token of tier {tier}", spec.theft))
    lines += [_theft("a bound SSH key, tier full", BOUND), _theft("any other SSH login, tier full", UNBOUND)]
    lines += ["", "| the token's privileges on | " + " | ".join(Tier) + " |", "|---|---|---|---|"]
    for path in TIERS[Tier.FULL].privileges:
        cells = (", ".join(f"`{each}`" for each in sorted(spec.privileges[path])) for spec in TIERS.values())
        lines.append(f"| `{path}` | {' | '.join(cells)} |")
    return "\n".join(lines)


def _theft(name: str, theft: Theft) -> str:
    return f"| {name} | {'; '.join(theft.could)} | {'; '.join(theft.could_not)} |"


def test_the_tables_are_current() -> None:
    """Each tier with its jobs, its privileges, and what a theft means."""
    assert tables() in PAGE.read_text()


def test_a_higher_tier_includes_the_lower_ones() -> None:
    """Privileges only grow, on every path; what is not said to need less needs full."""
    observe, operate, full = TIERS.values()

    assert all(
        observe.privileges[path] <= operate.privileges[path] <= full.privileges[path]
        for path in full.privileges
    )
    assert {KINDS[kind].tier for kind in (JobKind.CREATE, JobKind.DELETE, JobKind.CONFIGURE)} == {Tier.FULL}
    assert [Tier.OPERATE.covers(tier) for tier in Tier] == [True, True, False]
