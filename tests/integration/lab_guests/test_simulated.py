"""What simulated guests pretend, and what they leave alone."""

import asyncio
import contextlib
import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from slipway.lab.guests.addresses import interfaces
from slipway.lab.guests.protocol import Guests
from slipway.lab.guests.simulated.backend import RANGE_PORT, SimulatedGuests
from support.guest_specs import run, script, spec
from support.waiting import until

SERVICE = """[Unit]
Description=A service of the template's own
[Service]
ExecStart=/bin/sh -c 'echo started; exec sleep 600'
"""
LAB_THAT_IS_KILLED = """
import asyncio, os, sys
from pathlib import Path
from slipway.lab.guests.simulated.backend import SimulatedGuests
from support.guest_specs import spec

async def main() -> None:
    guests = SimulatedGuests(Path(sys.argv[1]))
    await guests.open()
    await guests.create(spec((await guests.templates())[0]))
    await guests.start(100)
    print((await guests.usage(100)).pid, flush=True)
    os.kill(os.getpid(), 9)

asyncio.run(main())
"""


@pytest.fixture
async def guest(simulated: Guests) -> int:
    """One that runs."""
    await simulated.create(spec((await simulated.templates())[0]))
    await simulated.start(100)
    return 100


async def test_it_says_what_it_is(simulated: Guests, guest: int) -> None:
    """The release name and the package tool show it."""
    release = await run(simulated, guest, "cat", "/etc/os-release")
    installed = await script(
        simulated, guest, "apt-get install -y htop; dpkg-query -W -f='${Status} ${Version}' htop"
    )

    assert "simulated" in release.output
    assert installed.output.endswith("install ok installed 1.0-simulated")


async def test_an_unknown_package_fails_as_apt_does(simulated: Guests, guest: int) -> None:
    """Names that begin with `no-such` do not exist."""
    ran = await script(simulated, guest, "apt-get install -y no-such-package")

    assert ran.code == 100
    assert "Unable to locate package no-such-package" in ran.errors


async def test_a_unit_file_of_the_template_is_started(simulated: Guests, guest: int) -> None:
    """`ExecStart` really runs, shows in the list, logs, survives a restart of the guest, and stops."""
    await run(simulated, guest, "sh", "-c", "cat > /etc/systemd/system/own.service", stdin=SERVICE.encode())

    assert (await script(simulated, guest, "systemctl enable --now own.service")).code == 0
    listed = await script(simulated, guest, "systemctl list-units --type=service --output=json")
    assert '"unit":"own.service","load":"loaded","active":"active","sub":"running"' in listed.output
    assert "started" in (await script(simulated, guest, "journalctl -u own")).output
    await simulated.stop(guest)
    await simulated.start(guest)
    assert (await script(simulated, guest, "systemctl is-active own")).output == "active\n"
    await script(simulated, guest, "systemctl stop own")
    assert (await script(simulated, guest, "systemctl is-active own")).code == 3


async def test_a_failing_unit_is_failed(simulated: Guests, guest: int) -> None:
    """Its exit code counts."""
    text = SERVICE.replace("exec sleep 600", "exit 3")
    await run(simulated, guest, "sh", "-c", "cat > /etc/systemd/system/own.service", stdin=text.encode())

    ran = await script(simulated, guest, "systemctl start own")

    assert ran.code == 1
    assert (await script(simulated, guest, "systemctl is-failed own")).output == "failed\n"


async def test_a_service_that_stops_and_starts_answers_again(simulated: Guests, guest: int) -> None:
    """Its port on the host closes and opens with it, as often as it likes."""
    await script(simulated, guest, "apt-get install -y nginx-light")
    shown = {interface.name: interface for interface in await interfaces(simulated, guest)}
    address = (shown["eth0"].inet or "").partition("/")[0]
    port = 80 if os.geteuid() == 0 else 8080
    for _ in range(3):
        await until(lambda: _answers(address, port))
        restart = script(simulated, guest, "systemctl stop nginx; sleep 1; systemctl start nginx")
        ran, _ = await asyncio.gather(restart, until(lambda: not _is_listened_at(address, port)))
        assert ran.code == 0, ran


def _is_listened_at(address: str, port: int) -> bool:
    """Look it up; a connection of ours could stand in the way of what is tested."""
    shown = f"{int.from_bytes(socket.inet_aton(address), sys.byteorder):08X}:{port:04X}"
    rows = (line.split() for line in Path("/proc/net/tcp").read_text().splitlines())
    return any(row[1] == shown and row[3] == "0A" for row in rows)


async def _answers(address: str, port: int) -> bool:
    try:
        reader, writer = await asyncio.open_connection(address, port)
        with contextlib.closing(writer):
            writer.write(b"GET / HTTP/1.0\r\n\r\n")
            return bool(await reader.readline())
    except OSError:
        return False


async def test_postgresql_takes_statements_as_its_user(simulated: Guests, guest: int) -> None:
    """They are stored, not carried out; the server listens."""
    await script(simulated, guest, "apt-get install -y postgresql")

    ran = await script(simulated, guest, 'su postgres -c "psql -c \\"CREATE ROLE app LOGIN\\""; pg_isready')

    assert "CREATE ROLE" in ran.output
    assert "accepting connections" in ran.output
    assert "127.0.0.1:5432" in (await script(simulated, guest, "ss -Htlnp")).output


async def test_accounts_are_lines_and_owners_are_checked(simulated: Guests, guest: int) -> None:
    """A user that was added may own files; one that was not may not."""
    await script(simulated, guest, "useradd --system --home-dir /srv/app app")

    assert (await script(simulated, guest, "touch /srv/x && chown app:app /srv/x && id")).code == 0
    assert (await script(simulated, guest, "chown nobody-here /srv/x")).code == 1


async def test_the_host_is_out_of_sight(simulated: Guests, guest: int, tmp_path: Path) -> None:
    """Neither the lab's folder nor the host's settings or processes are there; `/usr` is its own."""
    marker = f"slipway-lab-test-{os.getpid()}"

    seen = await script(simulated, guest, f"test -e {tmp_path} || test -e /etc/fstab || test -e /.host")
    await script(simulated, guest, f"touch /usr/bin/{marker} /usr/local/bin/{marker}")
    kernel = await script(simulated, guest, "echo 1 > /proc/sys/net/ipv4/ip_forward")
    processes = await script(simulated, guest, "ls -d /proc/[0-9]* | wc -l")

    assert seen.code == 1
    assert shutil.which(marker) is None
    assert kernel.code != 0
    assert int(processes.output) < 10


async def test_guests_die_with_their_lab(tmp_path: Path) -> None:
    """Even when it is killed."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", LAB_THAT_IS_KILLED, str(tmp_path),
        stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )  # fmt: skip
    output, _ = await process.communicate()
    init = Path("/proc", output.decode().strip())

    assert process.returncode != 0
    await until(lambda: not init.exists())


async def test_addresses_of_another_lab_are_left_alone(tmp_path: Path) -> None:
    """A folder has the same addresses each time, unless another lab has them meanwhile."""

    async def bridge() -> str:
        guests = SimulatedGuests(tmp_path)
        await guests.open()
        try:
            return guests.bridges()["vmbr0"]
        finally:
            await guests.close()

    first, again = await bridge(), await bridge()
    with socket.socket() as another:
        another.bind((first.partition("/")[0], RANGE_PORT))
        moved = await bridge()

    assert again == first
    assert moved != first
