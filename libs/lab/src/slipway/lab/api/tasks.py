"""`/nodes/{node}/tasks`: what runs and what ran."""

from slipway.lab.api.call import Call, Listed, Route, Routes, Row, index
from slipway.lab.host import upids
from slipway.lab.host.tasks import Work
from slipway.lab.http.messages import Answer
from slipway.lab.problems import not_permitted

DEFAULT_LIMIT = 50
NO_CONTENT = "no content"


def tasks(call: Call) -> Listed:
    """List tasks, newest first: ended ones unless the source says otherwise."""
    source = call.params.get("source", "archive")
    works = [work for work in call.machine.tasks.all() if _is_visible(call, work) and _fits(call, work)]
    if source != "all":
        works = [work for work in works if work.is_running == (source == "active")]
    return Listed([_row(work) for work in works[_part(call)]], len(works))


def _part(call: Call) -> slice:
    """Read which part of a list is asked for; a limit of 0 is none."""
    start, limit = call.number("start") or 0, call.number("limit")
    return slice(start, None if limit == 0 else start + (DEFAULT_LIMIT if limit is None else limit))


def _row(work: Work) -> Row:
    row: Row = work.upid.fields()
    if work.is_running:
        return row | {"status": "RUNNING", "saved": "0"}
    return row | {"status": work.exit_status, "endtime": work.ended}


def _is_visible(call: Call, work: Work) -> bool:
    is_own = work.upid.actor.partition("!")[0] == call.actor.user
    return is_own or call.actor.may(f"/nodes/{call.machine.node}", "Sys.Audit")


def _fits(call: Call, work: Work) -> bool:
    params, upid = call.params, work.upid
    since, until = call.number("since"), call.number("until")
    return (
        params.get("vmid", upid.id) == upid.id
        and params.get("typefilter", upid.type) == upid.type
        and params.get("userfilter", "").lower() in upid.actor.lower()
        and (since is None or upid.starttime >= since)
        and (until is None or upid.starttime <= until)
        and (not call.flag("errors") or _outcome(work) in ("error", "unknown"))
        and ("statusfilter" not in params or _outcome(work) in call.words("statusfilter"))
    )


def _outcome(work: Work) -> str:
    status = work.exit_status
    if status is None or status == "unexpected status":
        return "unknown"
    if status == "OK":
        return "ok"
    return "warning" if status.startswith("WARNINGS: ") else "error"


def status(call: Call) -> Row:
    """Show a task; `exitstatus` is there once it has ended."""
    work = call.machine.tasks.find(call.params["upid"])
    _require_visible(call, call.params["upid"])
    row: Row = work.upid.fields()
    if work.is_running:
        return row | {"status": "running"}
    return row | {"status": "stopped", "exitstatus": work.exit_status}


def log(call: Call) -> Listed | Answer:
    """Show a task's log, or a part of it; one without a line is shown with one, whatever the part."""
    lines = call.machine.tasks.log_of(call.params["upid"])
    _require_visible(call, call.params["upid"])
    if call.flag("download"):
        return Answer(body="".join(f"{line}\n" for line in lines).encode(), content_type="text/plain")
    if not lines:
        return Listed([{"n": 1, "t": NO_CONTENT}], 1)
    numbered = [{"n": number, "t": line} for number, line in enumerate(lines, 1)]
    return Listed(numbered[_part(call)], len(lines))


async def stop(call: Call) -> None:
    """Ask a task to stop; nothing happens if it has ended."""
    _require_visible(call, call.params["upid"], right="Sys.Modify")
    await call.machine.tasks.stop(call.params["upid"])


def _require_visible(call: Call, name: str, *, right: str = "Sys.Audit") -> None:
    is_own = upids.parse(name).actor.partition("!")[0] == call.actor.user
    if not is_own and not call.actor.may(f"/nodes/{call.machine.node}", right):
        raise not_permitted(f"/nodes/{call.machine.node}, {right}")


ROUTES: Routes = {
    "GET /nodes/{node}/tasks": Route(handler=tasks),
    "GET /nodes/{node}/tasks/{upid}": index("log", "status"),
    "DELETE /nodes/{node}/tasks/{upid}": Route(handler=stop),
    "GET /nodes/{node}/tasks/{upid}/log": Route(handler=log),
    "GET /nodes/{node}/tasks/{upid}/status": Route(handler=status),
}
