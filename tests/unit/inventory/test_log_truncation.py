"""A job log in parts gives the same events; of a log that is too long, only the middle is missing."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from slipway.contracts.job_events import JobLog, LogLine
from slipway.inventory.job_logs.truncation import PART_BYTES, TruncatedLog
from slipway.runtime.bus.job_logs import StoredEvent, pack, unpack

PREFIX = "slipway.v1.event.job.j."


def log(sequence: int, text: str, *, step: str = "sync.script.1", is_unfinished: bool = False) -> StoredEvent:
    """Make a log event."""
    line = LogLine(stream="stdout", text=text)
    message = JobLog(id="j", step=step, lines=(line,), offset=1, is_unfinished=is_unfinished)
    return StoredEvent(sequence, f"{PREFIX}log", message.model_dump_json().encode())


def other(sequence: int, name: str) -> StoredEvent:
    """Make an event that is no log line."""
    return StoredEvent(sequence, f"{PREFIX}{name}", b'{"id":"j"}')


def unpacked_events(truncated_log: TruncatedLog) -> list[StoredEvent]:
    """Take all parts apart; each follows the one before."""
    parts = truncated_log.parts()
    assert [part.after for part in parts] == [0, *(part.last for part in parts)][: len(parts)]
    return [event for part in parts for event in unpack(part.packed)]


@given(st.lists(st.binary(max_size=200)))
def test_packed_events_come_back_byte_for_byte(payloads: list[bytes]) -> None:
    """Also what is not UTF-8."""
    events = [StoredEvent(number, f"{PREFIX}log", payload) for number, payload in enumerate(payloads, 1)]

    assert unpack(pack(events)) == events


def test_a_long_job_log_has_several_parts() -> None:
    """Put together, they are the job log; it has ended with `done`."""
    events = [log(number * 3, "x" * (PART_BYTES // 3)) for number in range(1, 9)] + [other(99, "done")]
    truncated_log = TruncatedLog()

    for event in events:
        truncated_log.add(event)

    assert truncated_log.has_ended
    assert len(truncated_log.parts()) > 2
    assert unpacked_events(truncated_log) == events


def test_the_middle_of_a_log_is_left_out_and_reported() -> None:
    """Begin, end and everything but log lines stay; in the gap's place it says how much is missing."""
    logs = [log(number * 2, f"line {number} " + "x" * 1000) for number in range(1, 101)]
    events = sorted([*logs, other(51, "step"), other(121, "phase"), other(999, "done")], key=_sequence)
    truncated_log = TruncatedLog(most_bytes=20_000)

    for event in events:
        truncated_log.add(event)
    stored = unpacked_events(truncated_log)

    gaps = [each for each in stored if b"left out" in each.payload]
    missing = [each for each in events if each.sequence not in {one.sequence for one in stored}]
    assert stored[:5] == events[:5]
    assert stored[-5:] == events[-5:]
    assert {51, 121, 999} <= {each.sequence for each in stored}
    assert [older.sequence < newer.sequence for older, newer in pairwise(stored)] == [True] * (
        len(stored) - 1
    )
    (gap,) = gaps
    replaced = next(each for each in events if each.sequence == gap.sequence)
    bytes_left_out = sum(len(each.payload) for each in (*missing, replaced))
    text = JobLog.model_validate_json(gap.payload).lines[0].text
    assert text == f"[slipway: {bytes_left_out} bytes of log events are left out here; 20000 are stored]"
    assert sum(len(each.payload) for each in stored if each.subject.endswith(".log")) < 21_000


def test_of_an_unfinished_line_only_the_last_form_is_stored() -> None:
    """The line with an end, or what was there last when its step ended without one."""
    truncated_log = TruncatedLog()
    events = [
        log(1, "10 %", is_unfinished=True),
        other(2, "progress"),
        log(3, "50 %", is_unfinished=True),
        other(4, "progress"),
        log(5, 'done, it is not "is_unfinished":true'),
        log(6, "Go on? ", is_unfinished=True),
        other(7, "step"),
        log(8, "Really? ", step="sync.script.2", is_unfinished=True),
        other(9, "done"),
    ]

    for event in events:
        truncated_log.add(event)

    assert truncated_log.has_ended
    assert [each.sequence for each in unpacked_events(truncated_log)] == [2, 4, 5, 6, 7, 8, 9]


def _sequence(event: StoredEvent) -> int:
    return event.sequence
