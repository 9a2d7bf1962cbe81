"""A chat bot without the chat: one command per line in, one answer per line out.

Commands: `list`, `start NAME`, `stop NAME`, `restart NAME`, `snapshot NAME SNAPSHOT`.
Usage: SLIPWAY_URL=... SLIPWAY_TOKEN=... python3 bot.py
"""

import os
import sys
import time
from collections.abc import Iterator
from typing import Any

import httpx

VERBS = ("start", "stop", "restart", "snapshot")
POLL_SECONDS = 0.5
JOB_SECONDS = 300


def containers(api: httpx.Client) -> Iterator[dict[str, Any]]:
    """Iterate over all containers, page by page."""
    cursor: str | None = None
    while True:
        page = api.get("/api/v1/containers", params={"cursor": cursor} if cursor else {}).json()
        yield from page["items"]
        cursor = page["next"]
        if cursor is None:
            return


def change(api: httpx.Client, verb: str, name: str, body: dict[str, Any]) -> str:
    """Do it, and wait for the end."""
    container = next((each for each in containers(api) if each["hostname"] == name), None)
    if container is None:
        return f"there is no container {name}"
    answer = api.post(f"/api/v1/containers/{container['id']}/{verb}", json=body)
    if answer.is_error:
        return f"refused: {answer.json()['detail']}"
    job = answer.json()["job"]["id"]
    ends_at = time.monotonic() + JOB_SECONDS
    while time.monotonic() < ends_at:
        state = api.get(f"/api/v1/jobs/{job}").json()
        if state["finished_at"] is not None:
            error = state["error"]
            return f"{verb} {name}: {state['state']}" + (f" ({error['message']})" if error else "")
        time.sleep(POLL_SECONDS)
    return f"{verb} {name}: still {state['state']}; look at job {job}"


def answer_to(api: httpx.Client, line: str) -> str:
    """Return what the bot says to one line."""
    match line.split():
        case ["list"]:
            rows = (f"{each['hostname']} ({each['lifecycle']}, {each['power']})" for each in containers(api))
            return ", ".join(rows) or "no containers"
        case ["snapshot", name, snapshot]:
            return change(api, "snapshot", name, {"snapshot": snapshot})
        case [verb, name] if verb in VERBS:
            return change(api, verb, name, {})
        case _:
            return "I know: list, start NAME, stop NAME, restart NAME, snapshot NAME SNAPSHOT"


def main() -> None:
    """Answer until standard input ends."""
    headers = {"Authorization": f"Bearer {os.environ['SLIPWAY_TOKEN']}"}
    with httpx.Client(base_url=os.environ["SLIPWAY_URL"], headers=headers, timeout=30) as api:
        for line in sys.stdin:
            try:
                print(answer_to(api, line), flush=True)
            except httpx.TransportError as error:
                print(f"Slipway does not answer: {error}", flush=True)


if __name__ == "__main__":
    main()
