"""When a line that has no end yet is published."""

from itertools import pairwise

from slipway.provisioner.engine.log_bound import LONGEST_UNFINISHED_SECONDS
from slipway.provisioner.engine.unfinished_line import LONGEST_UNFINISHED, UnfinishedLine


def test_most_lines_are_never_published_unfinished() -> None:
    """They have an end within a second."""
    line = UnfinishedLine()

    line.update("half", at_seconds=10)
    early = line.take(10.9)
    line.end()

    assert (early, line.take(12)) == (None, None)


def test_progress_is_published_about_once_a_second() -> None:
    """Less often the longer it lasts, and only when it has changed."""
    line = UnfinishedLine()
    taken = []
    for tenth in range(36_000):
        if tenth % 5 == 0:
            line.update(f"{tenth // 50} of 720 done", at_seconds=tenth / 10)
        if (text := line.take(tenth / 10)) is not None:
            taken.append((tenth / 10, text))

    pauses = [after - before for (before, _), (after, _) in pairwise(taken)]
    assert taken[0] == (1.0, "0 of 720 done")
    assert len({text for _, text in taken}) == len(taken)
    assert min(pauses) >= 1.0
    assert max(pauses) <= 2 * LONGEST_UNFINISHED_SECONDS
    assert len(taken) < 36_000 / 10 / LONGEST_UNFINISHED_SECONDS + 60


def test_of_a_long_line_the_end_is_published() -> None:
    """A blank one is not."""
    line = UnfinishedLine()

    line.update("  ", at_seconds=0)
    blank = line.take(5)
    line.update("x" * 10_000 + "99 %", at_seconds=5)

    assert (blank, line.take(6)) == (None, "…" + "x" * (LONGEST_UNFINISHED - 5) + "99 %")
