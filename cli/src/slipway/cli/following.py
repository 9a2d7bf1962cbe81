"""How a verb reaches Slipway, and how it shows a job to its end."""

import argparse
import os
from contextlib import aclosing
from functools import partial
from pathlib import Path

from rich.console import Console

from slipway.cli.progress import shown_on, what_now
from slipway.cli.showing import complain, tell
from slipway.client.api import Client
from slipway.client.endpoints import NotRunning, read_endpoints
from slipway.client.sse import Outage

AWAY_SECONDS = 600.0
"""Longer than any restart; the job goes on without who watches it."""


def connect(given: argparse.Namespace) -> Client:
    """Make a client: `--data`, or `SLIPWAY_URL` with `SLIPWAY_TOKEN_FILE`, or the default data folder."""
    url, token_file = os.environ.get("SLIPWAY_URL"), os.environ.get("SLIPWAY_TOKEN_FILE")
    if given.data is None and url is not None:
        if token_file is None:
            raise NotRunning("SLIPWAY_URL is set, but SLIPWAY_TOKEN_FILE is not")
        try:
            return Client(url, Path(token_file).read_text(encoding="utf-8").strip())
        except OSError as error:
            raise NotRunning(f"SLIPWAY_TOKEN_FILE: {token_file}: {error.strerror}") from error
    return Client(*read_endpoints(given.data or Path("~/.local/share/slipway").expanduser()))


async def follow_job(client: Client, job: str, console: Console) -> bool:
    """Show a job to its end; whether it succeeded."""
    state = ""
    # Above the bar where there is one; else beside the output, which a program may read.
    outage = Outage(partial(tell, console) if console.is_terminal else complain, most_seconds=AWAY_SECONDS)
    with shown_on(console) as shown:
        async with aclosing(client.follow_job(job, outage=outage)) as events:
            async for event in events:
                shown.show(event)
                if event.kind == "done":
                    state = event.content["state"]
    if state == "failed":
        for line in what_now(await client.get(f"/jobs/{job}")):
            tell(console, line)
    return state == "succeeded"
