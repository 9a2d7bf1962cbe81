"""What a job's events show together."""

from slipway.client.sse import ServerEvent


def numbers(events: list[ServerEvent]) -> list[int]:
    """Return what the counting script printed."""
    return [int(text.removeprefix("number ")) for text in lines(events) if text.startswith("number ")]


def lines(events: list[ServerEvent]) -> list[str]:
    """Return all lines of the log that have an end."""
    logs = [event.content for event in events if event.kind == "log"]
    return [line["text"] for log in logs if not log.get("is_unfinished") for line in log["lines"]]


def ended_steps(events: list[ServerEvent]) -> list[str]:
    """Return the steps in the order in which they ended well."""
    steps = [event.content for event in events if event.kind == "step"]
    return [each["step"] for each in steps if each["status"] in {"finished", "skipped"}]


def begun_after_their_end(events: list[ServerEvent]) -> list[str]:
    """Return the steps that were begun again though they had ended well."""
    ended: set[str] = set()
    again = []
    for step in (event.content for event in events if event.kind == "step"):
        if step["status"] == "started" and step["step"] in ended:
            again.append(step["step"])
        if step["status"] in {"finished", "skipped"}:
            ended.add(step["step"])
    return again
