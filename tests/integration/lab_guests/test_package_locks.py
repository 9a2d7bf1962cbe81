"""Locks of package managers: an installation waits for whoever holds one, in either kind of guest."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from slipway.lab.guests.protocol import Guests
from slipway.lab.ssh.apt import HOLD, LOCKS
from slipway.provisioner.host import packages
from slipway.proxmox.hosts import Cluster
from support.alpine import boot
from support.guest_specs import run, script, spec, wait_until_ready
from support.lab_client import NODE

LIBRARY = (Path(__file__).parents[3] / "infra/lxc/lib/slipway.sh").read_text()


UPDATE = "apt-get -q -o DPkg::Lock::Timeout=300 -o APT::Update::Error-Mode=any update"


@pytest.fixture
async def guest(guests: Guests) -> AsyncIterator[Guests]:
    """A guest that runs."""
    await guests.create(spec((await guests.templates())[0]))
    await guests.start(100)
    await wait_until_ready(guests, 100)
    yield guests
    await guests.stop(100)


async def hold(guests: Guests, lock: str, seconds: int) -> None:
    """Hold a lock of apt's in the guest."""
    held = await run(guests, 100, "sh", "-c", HOLD, "sh", LOCKS[lock], str(seconds))
    assert held.code == 0, held


@pytest.mark.parametrize("lock", LOCKS)
async def test_installation_waits_for_each_lock_of_another(guest: Guests, lock: str) -> None:
    """It says what it waits for once, goes on when that is free, and apt itself meets no lock."""
    await hold(guest, lock, 3)

    ran = await script(guest, 100, packages.install("apt", ("hello",)))

    assert ran.code == 0, ran
    assert ran.output.count(f"Waiting for {LOCKS[lock]}, held by process ") == 1
    assert " (perl)\n" in ran.output
    assert "Setting up hello" in ran.output
    assert "lock" not in ran.errors


async def test_lock_that_stays_ends_the_wait(guest: Guests) -> None:
    """The failure names who holds it, and the command that was not run."""
    await hold(guest, "lists", 30)
    installing = packages.install("apt", ("hello",)).replace("LOCK_SECONDS=300", "LOCK_SECONDS=2")

    ran = await script(guest, 100, installing)

    assert ran.code == 75
    assert "error: /var/lib/apt/lists/lock, held by process " in ran.errors
    assert "still after 2 s" in ran.errors
    failed = packages.failed_command("apt", ("hello",), ran.errors.splitlines())
    assert failed == UPDATE
    assert packages.transient_failure(ran.errors.splitlines()) is None


async def test_template_scripts_wait_as_well(guest: Guests) -> None:
    """The library has the same function, to the letter."""
    await hold(guest, "lists", 3)
    await run(guest, 100, "sh", "-c", "cat >/opt/slipway.sh", stdin=LIBRARY.encode())

    ran = await script(guest, 100, ". /opt/slipway.sh; ensure_installed hello")

    assert packages.LOCKS.strip() in LIBRARY
    assert ran.code == 0, ran
    assert ran.output.count("Waiting for /var/lib/apt/lists/lock, held by process ") == 1


@pytest.mark.lxc
async def test_failure_names_the_command_that_failed(real: Guests) -> None:
    """Lists that can't be had are no fault of the installation that was to follow."""
    await real.create(spec((await real.templates())[0]))
    await real.start(100)
    await wait_until_ready(real, 100)
    source = "deb http://mirror.invalid/debian stable main"
    await script(real, 100, f"echo '{source}' >/etc/apt/sources.list.d/wrong.list")

    ran = await script(real, 100, packages.install("apt", ("hello",)))

    await real.stop(100)
    assert ran.code == 100
    assert packages.failed_command("apt", ("hello",), ran.errors.splitlines()) == UPDATE


@pytest.mark.lxc
async def test_apk_waits_as_well(alpine_cluster: Cluster) -> None:
    """Its lock is one of flock's, which the kernel shows like the others."""
    await boot(alpine_cluster)
    held = "(flock -x /lib/apk/db/lock sleep 3 >/dev/null 2>&1 &); sleep 0.5\n"
    installing = "when_unlocked apk --wait 300 add --no-network --virtual .nothing"

    ran = await alpine_cluster.pct(NODE).script(
        100, f"{held}{packages.LOCKS}{installing}", timeout=timedelta(seconds=60)
    )

    assert ran.exit_code == 0, ran
    assert ran.stdout.startswith("Waiting for /lib/apk/db/lock, held by process ")
    assert "Installing .nothing" in ran.stdout
