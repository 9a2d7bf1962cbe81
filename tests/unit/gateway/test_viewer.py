"""What waits for a viewer, and what of a job's log becomes a line."""

from slipway.contracts.job_events import JobLog, LogLine
from slipway.gateway.http.log_text import LogText
from slipway.gateway.http.texts import DEEPEST, LARGEST, faults
from slipway.gateway.streams.viewer import MOST_WAITING, Item, Viewer


def item(sequence: int, subject: str = "slipway.v1.event.job.j.log") -> Item:
    """Make an event."""
    return Item.of(sequence, subject, b"{}")


async def test_slow_viewer_is_dropped_without_a_hole() -> None:
    """What waited is still given, and nothing that came after the first event that found no room."""
    viewer = Viewer("j")
    for sequence in range(1, MOST_WAITING + 10):
        viewer.put(item(sequence), b"")

    taken = await viewer.take(within_seconds=0)
    viewer.put(item(MOST_WAITING + 10), b"")

    assert [each.sequence for each in taken] == list(range(1, MOST_WAITING + 1))
    assert viewer.is_finished


def test_event_is_one_line() -> None:
    """Line breaks between the parts of JSON would end the data."""
    made = Item.of(7, "slipway.v1.event.job.j.phase", b'{\r\n"a": 1}')

    assert made.frame == b'id: 7\nevent: phase\ndata: {  "a": 1}\n\n'


def test_viewer_sees_its_job_only_and_the_fleet_no_lines() -> None:
    """An id that begins like another's is another's."""
    job, fleet = Viewer("j"), Viewer(None)

    assert job.wants("slipway.v1.event.job.j.log")
    assert not job.wants("slipway.v1.event.job.j2.log")
    assert not fleet.wants("slipway.v1.event.job.j.log")
    assert fleet.wants("slipway.v1.event.job.j.step")
    assert not fleet.wants("slipway.v1.state.job.j")


def test_open_line_ends_with_its_step() -> None:
    """A script that was killed within a line does not swallow the next script's first."""
    text = LogText()
    first = LogLine(stream="stdout", text="half", more=True)
    second = LogLine(stream="stdout", text="whole")

    lines = [*text.add(JobLog(id="j", step="a", lines=(first,), offset=1))]
    lines += text.add(JobLog(id="j", step="b", lines=(second,), offset=1))

    assert lines == ["half\n", "whole\n"]


def test_unfinished_line_is_replaced_by_the_next() -> None:
    """What stands there when its step or the log ends, is a line."""
    text = LogText()

    def message(line: str, *, step: str = "a", is_unfinished: bool = False) -> JobLog:
        lines = (LogLine(stream="stdout", text=line),)
        return JobLog(id="j", step=step, lines=lines, offset=1, is_unfinished=is_unfinished)

    messages = [
        message("10 %", is_unfinished=True),
        message("20 %", is_unfinished=True),
        message("100 %"),
        message("Go on? ", is_unfinished=True),
        message("next", step="b"),
        message("Really? ", step="b", is_unfinished=True),
    ]
    lines = [line for each in messages for line in text.add(each)] + [*text.rest()]

    assert lines == ["100 %\n", "Go on? \n", "next\n", "Really? \n"]


def test_line_without_end_is_given_in_pieces() -> None:
    """What a guest prints without a line break is not held as a whole."""
    text = LogText()
    part = LogLine(stream="stdout", text="x" * 60_000, more=True)
    last = LogLine(stream="stdout", text="end")
    messages = [JobLog(id="j", step="a", lines=(part,), offset=number) for number in range(20)]

    lines = [line for message in messages for line in text.add(message)]
    lines += text.add(JobLog(id="j", step="a", lines=(last,), offset=20))

    assert [len(each) for each in lines] == [18 * 60_000 + 1, 2 * 60_000 + len("end\n")]


def test_what_nobody_can_carry_is_found_with_its_place() -> None:
    """Characters that are no text, numbers out of bounds, bottomless nesting."""
    deep: object = "x"
    for _ in range(DEEPEST + 1):
        deep = [deep]

    places = {
        ".".join(where) for where, _ in faults({"a": ["ok", "\0"], "b": LARGEST + 1, "c": True, "d": deep})
    }

    assert places == {"a.1", "b", "d"}
