"""Rules of the code itself that no test of behaviour would catch in time."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
PRODUCT = [
    path
    for folder in ("contracts", "libs", "services", "cli", "standalone")
    for path in (ROOT / folder).rglob("*.py")
    if "src" in path.parts
]


def offenders(pattern: str, paths: list[Path]) -> list[str]:
    return [
        str(path.relative_to(ROOT)) for path in paths if re.search(pattern, path.read_text(encoding="utf-8"))
    ]


def test_trap_03_nobody_takes_the_consumers_ack_policy_for_faststreams() -> None:
    """`faststream.nats.AckPolicy` is nats-py's; FastStream's own lives in `faststream`."""
    assert offenders(r"from faststream\.nats import [^\n]*AckPolicy", PRODUCT) == []


@pytest.mark.parametrize("word", ["max_workers", r"PullSub\(", r"\.subscriber\("])
def test_trap_04_subscribers_are_made_in_one_place(word: str) -> None:
    """Slots, acks and inboxes are easy to get wrong, so only the runtime subscribes."""
    allowed = {"query_server.py", "client.py"}

    assert {Path(path).name for path in offenders(word, PRODUCT)} <= allowed


def test_trap_18_no_test_uses_the_pretend_broker() -> None:
    """It acknowledges, repeats and refuses nothing; a real server starts in a hundredth of a second."""
    here = Path(__file__)

    assert (
        offenders("TestNatsBroker", [path for path in (ROOT / "tests").rglob("*.py") if path != here]) == []
    )


@pytest.mark.parametrize("service", ["catalog", "gateway", "monitor"])
def test_loops_are_ended_for_certain(service: str) -> None:
    """Python may lose a cancellation: what runs for ever is ended by `ending.end`, which cancels again."""
    assert offenders(r"\.cancel\(\)", [path for path in PRODUCT if service in path.parts]) == []


def test_the_rollup_header_is_sent_by_the_commit_only() -> None:
    """One wrong value of it empties the stream."""
    assert {Path(path).name for path in offenders(r"Nats-Rollup|\bROLLUP\b", PRODUCT)} <= {
        "headers.py",
        "publisher.py",
    }
