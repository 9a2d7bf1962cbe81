"""What a job may write into its log, step by step."""

from slipway.provisioner.engine.log_bound import (
    BUS_FULL,
    LEAST_GUEST_BYTES,
    MESSAGE_BYTES,
    TOO_LONG,
    LogBound,
    LogLimits,
)

MIB = 1024 * 1024
LIMITS = LogLimits(most_bytes=64 * MIB, bytes_per_second=MIB)


def test_a_step_leaves_room_for_those_that_follow() -> None:
    """Three quarters of what is left are its own; so each has some, and all together never too much."""
    logged = 0
    for _ in range(5):
        bound = LogBound(LIMITS, logged)
        while bound.why_full(0) is None:
            bound.count(16 * 1024)
        assert logged < bound.logged_bytes < LIMITS.most_bytes + 16 * 1024 + MESSAGE_BYTES
        logged = bound.logged_bytes

    assert LogBound(LIMITS, LIMITS.most_bytes).why_full(0) == TOO_LONG


def test_what_waits_counts() -> None:
    """It is going to be written."""
    bound = LogBound(LIMITS, 0)

    assert bound.why_full(48 * MIB - 1) is None
    assert bound.why_full(48 * MIB) == TOO_LONG


def test_a_script_always_has_last_words() -> None:
    """Half of what is left for its output in its guest, and never nothing."""
    assert LogBound(LIMITS, 0).guest_bytes == 32 * MIB
    assert LogBound(LIMITS, 64 * MIB).guest_bytes == LEAST_GUEST_BYTES


def test_what_is_left_out_is_reported_less_and_less_often() -> None:
    """At once, after five seconds, then after twice as long each time, and at the end with all of it."""
    bound = LogBound(LIMITS, 0)
    seconds = []
    for second in range(100):
        bound.omit(10, BUS_FULL, at_seconds=second)
        if bound.is_notice_due(second):
            seconds.append(second)

    assert seconds == [0, 5, 15, 35, 75]
    assert bound.notice(is_over=True) == (
        "[slipway: 1000 bytes of the log are left out here: the message bus is almost full]"
    )
    assert bound.omitted_bytes == 0


def test_what_could_not_be_reported_is_reported_later() -> None:
    """The bus may refuse the very line that says how much is missing."""
    bound = LogBound(LIMITS, 0)
    bound.omit(10, BUS_FULL, at_seconds=0)
    bound.notice(is_over=True)

    bound.settle(is_stored=False)

    assert bound.omitted_bytes == 10
