"""`slipway demo`: the main job before your eyes, on the lab.

Ends with a container that serves a page: fetched through the guest's own address.
"""

import asyncio
import contextlib
import os
import re
import secrets
import sys
from pathlib import Path
from typing import Literal

import httpx

from slipway.cli.confirmation import agreed
from slipway.cli.formats import Format
from slipway.cli.session import Session
from slipway.cli.terminal import say
from slipway.client.client import Client
from slipway.contracts.container_specs import ContainerSpec
from slipway.contracts.containers import Container
from slipway.lab.guests import choose, setup
from slipway.lab.guests.simulated.running import UNPRIVILEGED_OFFSET
from slipway.runtime.retry import Deadline
from slipway.standalone import cleaning, defaults
from slipway.standalone.embedded.ports import PortTaken, require_free
from slipway.standalone.forks import Forks, ProcessFailed
from slipway.standalone.stopping import stop_signal, unless_stopped
from slipway.standalone.up import Options, Stack, prepare

TEMPLATE = "nginx-site"
PAGE_SECONDS = 20.0
JOB_SECONDS = 900.0
"""A new machine downloads packages first."""
_FIRST_FREE_PORT = 1024


async def run_demo(*, data: Path, is_once: bool, port: int | None) -> int:
    """Run the demo; return 0 only if every part worked."""
    choice = choose.choose(_requested_guests())
    say(choice.reason)
    if choice.kind == "lxc" and not await _install(choice):
        choice = choose.choose("simulated")
        say(choice.reason)
    options = Options(
        data=data, port=_usual_port() if port is None else port, with_lab=True, guests=choice.kind
    )
    stop = stop_signal()
    may_mark = cleaning.is_ours_alone(data)
    stack, lock = prepare(options, Forks())
    if may_mark:
        cleaning.mark(data)
    with lock:
        try:
            is_done = await unless_stopped(_show(stack, data), stop)
            if is_done and not is_once:
                say("Slipway stays up until Ctrl-C.")
                await stop.wait()
        finally:
            say("Stopping ...")
            await stack.stop()
    return 0 if is_done or not is_once else 1


def _requested_guests() -> Literal["lxc", "simulated", "auto"]:
    match os.environ.get("LAB", "auto"):
        case "simulated":
            return "simulated"
        case "lxc":
            return "lxc"
        case "auto" | "":
            return "auto"
        case other:
            raise ProcessFailed(f"LAB={other}: it must be lxc, simulated or auto")


async def _install(choice: choose.Choice) -> bool:
    """Install what real containers need, after listing it and asking; return whether they can be used."""
    say("For real containers this machine is changed:")
    for sentence in setup.plan():
        say(f"  - {sentence}")
    if choice.is_installed:
        return True
    if sys.stdin.isatty() and not agreed("Do it? [Y/n] ", default=True):
        return False
    await setup.apply(lambda line: say(f"  | {line}"))
    return True


async def _show(stack: Stack, data: Path) -> None:
    await stack.start()
    async with Client.connect(data) as client:
        hostname = f"demo-{secrets.token_hex(3)}"
        say(f"Creating the container {hostname} from the template {TEMPLATE} ...")
        accepted = await client.create(ContainerSpec(template=TEMPLATE, hostname=hostname))
        session = Session(data=data, form=Format.TABLE)
        try:
            async with asyncio.timeout(JOB_SECONDS):
                is_done = await session.follow(client.transport, accepted.job.id)
        except TimeoutError as error:
            raise ProcessFailed(f"the job did not end within {JOB_SECONDS / 60:.0f} minutes") from error
        if not is_done:
            raise ProcessFailed(f"the job failed; everything is in {data / 'log'}")
        await _prove(client, accepted.container.id)


async def _prove(client: Client, container_id: str) -> None:
    """Show address and credentials, and that the service really answers."""
    container = await client.container(container_id)
    say("")
    say(f"Container {container.hostname} ({container.vmid}) at {container.address}")
    for service in container.services:
        if service.url:
            say(f"  {service.name}: {service.url}")
    for credential in container.credentials:
        say(f"  {credential.name}: {await client.reveal(container_id, credential.id)}")
    url = _page(container)
    say(f"GET {url}")
    say(f"  {await _summary(url)}")


def _page(container: Container) -> str:
    for service in container.services:
        if service.url and service.url.startswith("http"):
            return service.url
    raise ProcessFailed("no service with an address was discovered in the container")


async def _summary(url: str) -> str:
    """Fetch a page; return its status and title, or its first line."""
    response = await _fetch(url)
    if not response.is_success:
        raise ProcessFailed(f"{url} answers with status {response.status_code}")
    title = re.search(r"<title>(.*?)</title>", response.text, re.IGNORECASE | re.DOTALL)
    first = title[1] if title else next(iter(response.text.splitlines()), "")
    return f"{response.status_code} {response.reason_phrase}: {first.strip()[:200]}"


async def _fetch(address: str) -> httpx.Response:
    """Fetch a page as soon as it answers.

    A simulated guest of an ordinary user, who may not listen below port 1024, answers 8000 ports higher.
    """
    url = httpx.URL(address)
    port = url.port or (443 if url.scheme == "https" else 80)
    shifted = url.copy_with(port=port + UNPRIVILEGED_OFFSET)
    urls = [url] if os.geteuid() == 0 or port >= _FIRST_FREE_PORT else [url, shifted]
    deadline = Deadline(PAGE_SECONDS)
    # No one can verify a guest's own certificate; its page is only looked at.
    async with httpx.AsyncClient(timeout=5.0, trust_env=False, verify=False) as http:  # noqa: S501
        while True:
            for each in urls:
                with contextlib.suppress(httpx.TransportError):
                    return await http.get(each)
            if deadline.has_passed:
                raise ProcessFailed(f"{address} does not answer")
            await asyncio.sleep(0.3)


def _usual_port() -> int:
    """Return the usual port if it is free, else 0: any free one."""
    try:
        require_free(defaults.PORT)
    except PortTaken:
        return 0
    return defaults.PORT
