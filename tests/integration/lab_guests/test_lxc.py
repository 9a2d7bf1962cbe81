"""What only real containers do: limits, ids, reboots, and the traces of a lab that was killed."""

import asyncio
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from slipway.lab.guests import commands
from slipway.lab.guests.lxc import cleanup
from slipway.lab.guests.lxc.backend import LxcGuests
from slipway.lab.guests.lxc.place import place
from slipway.lab.guests.protocol import GuestError, Guests
from support.guest_specs import network, run, script, spec, wait_until_ready
from support.waiting import until

pytestmark = [pytest.mark.lxc, pytest.mark.usefixtures("lxc_is_here")]

LAB_THAT_IS_KILLED = """
import asyncio, sys
from pathlib import Path
from slipway.lab.guests.lxc.backend import LxcGuests
from support.guest_specs import spec

async def main() -> None:
    guests = LxcGuests(Path(sys.argv[1]))
    await guests.open()
    await guests.create(spec((await guests.templates())[0]))
    await guests.start(100)
    print("started", flush=True)
    await asyncio.sleep(60)

asyncio.run(main())
"""


async def test_limits_hold_inside(real: Guests) -> None:
    """One core and 256 MiB, as the configuration says."""
    await real.create(spec((await real.templates())[0]))
    await real.start(100)

    processors = await run(real, 100, "nproc")
    limit = await script(
        real,
        100,
        "cat /sys/fs/cgroup/memory/memory.limit_in_bytes 2>/dev/null || cat /sys/fs/cgroup/memory.max",
    )

    assert processors.output == "1\n"
    assert int(limit.output) == 256 << 20


async def test_apt_has_its_own_times(real: Guests) -> None:
    """What fetches lists and upgrades by itself, and holds apt's locks meanwhile, is on, as in Debian's."""
    await real.create(spec((await real.templates())[0]))
    await real.start(100)
    await wait_until_ready(real, 100)

    timers = await run(real, 100, "systemctl", "is-enabled", "apt-daily.timer", "apt-daily-upgrade.timer")

    assert timers.output.split() == ["enabled", "enabled"]


@pytest.mark.parametrize("unprivileged", [True, False])
async def test_root_is_mapped_in_unprivileged_guests_only(real: Guests, *, unprivileged: bool) -> None:
    """Inside, everything belongs to root either way, and systemd has no failed unit."""
    await real.create(spec((await real.templates())[0], unprivileged=unprivileged))
    await real.start(100)

    state = await wait_until_ready(real, 100)

    first = (await script(real, 100, "awk '{print $2}' /proc/self/uid_map; stat -c %u /etc/passwd")).output
    assert state == "running", (await script(real, 100, "systemctl --failed --no-legend")).output
    assert first.endswith("\n0\n")
    assert (first.split()[0] != "0") is unprivileged


async def test_a_guest_that_reboots_by_itself_goes_on(real: Guests) -> None:
    """Its init is another one afterwards, and the backend knows it."""
    await real.create(spec((await real.templates())[0]))
    await real.start(100)
    await wait_until_ready(real, 100)
    before = (await real.usage(100)).pid

    await run(real, 100, "systemctl", "reboot")

    async def is_another() -> bool:
        return await _init(real) not in {None, before}

    await until(is_another, within_seconds=30)
    assert await wait_until_ready(real, 100) == "running"


async def _init(real: Guests) -> int | None:
    try:
        return (await real.usage(100)).pid
    except GuestError:
        return None  # between two lives


async def test_a_password_and_keys_are_set_at_creation(real: Guests) -> None:
    """Hashed in the shadow file, and in no file of the lab."""
    guest_spec = spec((await real.templates())[0], password="correct horse")
    await real.create(replace(guest_spec, ssh_public_keys="ssh-ed25519 AAAA test"))
    await real.start(100)

    assert (
        await script(real, 100, "grep '^root:\\$6\\$' /etc/shadow; stat -c %u /etc/shadow")
    ).output.endswith("\n0\n")
    assert (await run(real, 100, "cat", "/root/.ssh/authorized_keys")).output == "ssh-ed25519 AAAA test\n"


async def test_a_name_with_dots_and_a_gateway_outside_of_the_network(real: Guests) -> None:
    """The host's name is its first part, as Proxmox writes it; the way out leads over a route of its own."""
    device = network(ip="203.0.113.9/32", gw="203.0.113.1")
    guest_spec = spec((await real.templates())[0], networks=(device,))
    await real.create(replace(guest_spec, hostname="mail.example.com", searchdomain="a.example,b.example"))
    await real.start(100)
    await wait_until_ready(real, 100)

    name = await script(real, 100, "cat /etc/hostname; hostname -f; grep ^search /etc/resolv.conf")
    routes = (await run(real, 100, "ip", "-4", "route")).output

    assert name.output == "mail\nmail.example.com\nsearch a.example b.example\n"
    assert "default via 203.0.113.1 dev eth0" in routes
    assert "203.0.113.1 dev eth0" in routes.replace("default via 203.0.113.1 dev eth0", "")


async def test_a_link_that_leads_to_the_host_is_not_followed(real: Guests) -> None:
    """Root of a guest plants one where the lab writes at the next start."""
    await real.create(spec((await real.templates())[0], unprivileged=False))
    await real.start(100)
    await script(real, 100, "mv /etc/network /etc/network.old; ln -s /tmp/outside /etc/network")
    await real.stop(100)

    with pytest.raises(GuestError, match="symbolic link"):
        await real.start(100)


async def test_twelve_guests_boot_side_by_side(real: Guests) -> None:
    """Parallel creation and start neither fail nor take long."""
    template = (await real.templates())[0]

    async def boot(vmid: int) -> str:
        await real.create(spec(template, vmid=vmid))
        await real.start(vmid)
        return await wait_until_ready(real, vmid)

    states = await asyncio.gather(*(boot(vmid) for vmid in range(200, 212)))

    assert set(states) == {"running"}


async def test_the_next_lab_cleans_up_after_a_killed_one(tmp_path: Path) -> None:
    """Its guest runs on until then; its disk is stored."""
    await _kill_a_lab(tmp_path)
    name = place(tmp_path).name(100)

    guests = LxcGuests(tmp_path)
    await guests.open()
    try:
        assert await commands.run(["lxc-ls", "-P", str(place(tmp_path).guests), "--running"]) == ""
        await guests.start(100)
        assert (await run(guests, 100, "true")).code == 0
    finally:
        await guests.close()
    assert name not in await commands.run(["mount"])


async def test_cleanup_by_hand_leaves_no_trace(tmp_path: Path) -> None:
    """Guests, mounts, bridge and NAT of a killed lab are gone afterwards."""
    await _kill_a_lab(tmp_path)
    resources = place(tmp_path)

    await cleanup.after_death(tmp_path)

    assert not await commands.attempt(["ip", "link", "show", resources.bridge])
    assert not await commands.attempt(["nft", "list", "table", "ip", resources.table])
    assert resources.tag not in await commands.run(["mount"])
    assert not resources.run.exists()


async def test_cleanup_by_hand_spares_a_running_lab(real: Guests, tmp_path: Path) -> None:
    """It is refused."""
    await real.create(spec((await real.templates())[0]))
    await real.start(100)

    with pytest.raises(GuestError, match="another lab uses"):
        await cleanup.after_death(tmp_path)

    assert real.is_running(100)


async def _kill_a_lab(data: Path) -> None:
    """Run a lab with one guest in a process of its own, and kill that process."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", LAB_THAT_IS_KILLED, str(data),
        stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )  # fmt: skip
    assert process.stdout is not None
    async with asyncio.timeout(60):
        assert await process.stdout.readline() == b"started\n"
    process.send_signal(signal.SIGKILL)
    await process.wait()
