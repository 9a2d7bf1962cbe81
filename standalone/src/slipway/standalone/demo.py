"""`slipway demo`: the main job before your eyes, on the lab.

Ends with a container that serves a page: fetched through the guest's own address.
"""

import argparse
import asyncio
import contextlib
import os
import re
import secrets
import signal
import socket
import sys
from pathlib import Path
from typing import Any, Literal

import httpx
from rich.console import Console

from slipway.cli import confirming
from slipway.cli.following import follow_job
from slipway.cli.output import clean, say
from slipway.client.api import Client
from slipway.lab.guests import choose, setup
from slipway.lab.guests.simulated.running import UNPRIVILEGED_OFFSET
from slipway.standalone import cleaning
from slipway.standalone.supervisor import ProcessFailed
from slipway.standalone.up import DEFAULT_PORT, Options, Stack, prepare, read_port, unless_told

TEMPLATE = "nginx-site"
ANSWER_SECONDS = 20.0
JOB_SECONDS = 900.0
"""A new machine downloads packages first."""
_FIRST_FREE_PORT = 1024


async def run_demo(given: argparse.Namespace) -> int:
    """Run the demo; return 0 only if every part worked."""
    choice = choose.choose(_wanted())
    say(choice.reason)
    if choice.kind == "lxc" and not await _install(choice):
        choice = choose.choose("simulated")
        say(choice.reason)
    is_once = given.once or os.environ.get("ONCE") in {"1", "true", "yes"}
    options = Options(data=given.data, port=_port(given.port), with_lab=True, guests=choice.kind)
    may_mark = cleaning.is_ours_alone(given.data)
    stack, lock = prepare(options, is_quiet=True)
    if may_mark:
        cleaning.mark(given.data)
    told = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, told.set)
    with lock:
        try:
            done = await unless_told(_show(stack, given.data), told)
            if done and not is_once:
                say("Slipway stays up until Ctrl-C.")
                await told.wait()
        finally:
            say("Stopping ...")
            await stack.stop()
    return 0 if done or not is_once else 1


def _wanted() -> Literal["lxc", "simulated", "auto"]:
    match os.environ.get("LAB", "auto"):
        case "simulated":
            return "simulated"
        case "lxc":
            return "lxc"
        case "auto" | "":
            return "auto"
        case other:
            raise ProcessFailed(f"LAB={other}: it is lxc, simulated or auto")


async def _install(choice: choose.Choice) -> bool:
    """Install what real containers need, after telling and asking; whether they can be used."""
    say("For real containers this machine is changed:")
    for sentence in setup.plan():
        say(f"  - {sentence}")
    if choice.is_installed:
        return True
    if sys.stdin.isatty() and not confirming.agreed("Do it? [Y/n] ", default=True):
        return False
    await setup.apply(lambda line: say(f"  | {line}"))
    return True


async def _show(stack: Stack, data: Path) -> None:
    say(f"Starting Slipway (logs: {data / 'log'}) ...")
    await stack.start()
    say(f"Slipway is ready: {stack.url}")
    say(f"Sign in with the secret in {stack.keys.bootstrap_token}")
    async with stack.client() as client:
        hostname = f"demo-{secrets.token_hex(3)}"
        say(f"Creating the container {hostname} from the template {TEMPLATE} ...")
        accepted = await client.post("/containers", {"template": TEMPLATE, "hostname": hostname})
        try:
            async with asyncio.timeout(JOB_SECONDS):
                is_done = await follow_job(client, accepted["job"]["id"], Console())
        except TimeoutError as error:
            raise ProcessFailed(f"the job did not end within {JOB_SECONDS / 60:.0f} minutes") from error
        if not is_done:
            raise ProcessFailed(f"the job failed; everything is in {data / 'log'}")
        await _prove(client, accepted["container"]["id"])


async def _prove(client: Client, container: str) -> None:
    """Show address and credentials, and that the service really answers."""
    found = await client.get(f"/containers/{container}")
    say("")
    say(f"Container {found['hostname']} ({found['vmid']}) at {found.get('address')}")
    for service in found["services"]:
        if service.get("url"):
            say(clean(f"  {service['name']}: {service['url']}"))
    for credential in found["credentials"]:
        shown = await client.post(f"/containers/{container}/credentials/{credential['id']}/reveal")
        say(clean(f"  {credential['name']}: {shown['value']}"))
    url = _page(found)
    say(f"GET {url}")
    say(f"  {await _first_words(url)}")


def _page(container: dict[str, Any]) -> str:
    urls = [service["url"] for service in container["services"] if service.get("url")]
    pages = [url for url in urls if str(url).startswith("http")]
    if not pages:
        raise ProcessFailed("no service with an address was discovered in the container")
    return str(pages[0])


async def _first_words(url: str) -> str:
    """Fetch a page and give its status and title, or its first line."""
    answer = await _fetch(url)
    if not answer.is_success:
        raise ProcessFailed(f"{url} answers with status {answer.status_code}")
    title = re.search(r"<title>(.*?)</title>", answer.text, re.IGNORECASE | re.DOTALL)
    first = title[1] if title else next(iter(answer.text.splitlines()), "")
    return clean(f"{answer.status_code} {answer.reason_phrase}: {first.strip()[:200]}")


async def _fetch(url: str) -> httpx.Response:
    """Fetch a page as soon as it answers.

    A simulated guest of an ordinary user, who may not listen below port 1024, answers 8000 ports higher.
    """
    wanted = httpx.URL(url)
    port = wanted.port or (443 if wanted.scheme == "https" else 80)
    shifted = wanted.copy_with(port=port + UNPRIVILEGED_OFFSET)
    places = [wanted] if os.geteuid() == 0 or port >= _FIRST_FREE_PORT else [wanted, shifted]
    deadline = asyncio.get_running_loop().time() + ANSWER_SECONDS
    # A guest's own certificate is not known to anyone; its page is only looked at.
    async with httpx.AsyncClient(timeout=5.0, trust_env=False, verify=False) as http:  # noqa: S501
        while True:
            for place in places:
                with contextlib.suppress(httpx.TransportError):
                    return await http.get(place)
            if asyncio.get_running_loop().time() > deadline:
                raise ProcessFailed(f"{url} does not answer")
            await asyncio.sleep(0.3)


def _port(wanted: int | None) -> int:
    """Choose the page's port: the one that was given, else the usual one if it is free."""
    if wanted is not None or "PORT" in os.environ:
        return read_port(os.environ["PORT"]) if wanted is None else wanted
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", DEFAULT_PORT))
        except OSError:
            return 0
    return DEFAULT_PORT
