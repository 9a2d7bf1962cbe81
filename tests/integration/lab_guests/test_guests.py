"""What every backend promises, on both: simulated guests and real LXC containers."""

import asyncio
import contextlib
import hashlib
from dataclasses import replace
from pathlib import Path

import pytest

from slipway.lab.guests.addresses import interfaces
from slipway.lab.guests.lxc.backend import LxcGuests
from slipway.lab.guests.protocol import GuestError, Guests
from slipway.lab.guests.simulated.backend import SimulatedGuests
from support.guest_specs import network, run, script, spec, wait_until_ready
from support.waiting import until


async def started(guests: Guests, vmid: int = 100) -> int:
    """Create and start one guest."""
    await guests.create(spec((await guests.templates())[0], vmid=vmid))
    await guests.start(vmid)
    return vmid


def another(guests: Guests, data: Path) -> Guests:
    """Return a second backend of the same kind."""
    return LxcGuests(data) if isinstance(guests, LxcGuests) else SimulatedGuests(data)


async def test_a_guest_boots_until_systemd_says_so(guests: Guests) -> None:
    """After `start` the guest runs, and becomes ready by itself."""
    vmid = await started(guests)

    state = await wait_until_ready(guests, vmid)

    assert state == "running"
    assert (await run(guests, vmid, "cat", "/etc/hostname")).output == "ct100\n"


@pytest.mark.parametrize(
    ("text", "code"), [("exit 7", 7), ("kill -9 $$", 137), ("no-such-command-here", 127)]
)
async def test_exit_codes_are_those_of_pct_exec(guests: Guests, text: str, code: int) -> None:
    """Codes pass through; a signal n is 128+n; a missing command is 127."""
    vmid = await started(guests)

    assert (await script(guests, vmid, text)).code == code


async def test_a_missing_program_is_127_without_a_shell(guests: Guests) -> None:
    """The program that enters the guest says so itself."""
    vmid = await started(guests)

    assert (await run(guests, vmid, "no-such-command-here")).code == 127


async def test_streams_stay_apart_and_input_arrives(guests: Guests) -> None:
    """Standard input is passed; output and errors are not mixed; the directory is `/`; the PATH is pct's."""
    vmid = await started(guests)

    ran = await run(guests, vmid, "sh", "-c", "cat; echo oops >&2; pwd; echo $PATH", stdin=b"one\n")

    assert ran.output == "one\n/\n/sbin:/bin:/usr/sbin:/usr/bin\n"
    assert ran.errors == "oops\n"


async def test_two_megabytes_go_in_and_come_out(guests: Guests) -> None:
    """A stream longer than any pipe's buffer passes whole."""
    vmid = await started(guests)
    chunk = b"0123456789abcdef" * 4096

    process = await guests.execute(vmid, ["sha256sum"])
    for _ in range(32):
        await process.write(chunk)
    await process.close_stdin()
    digest = b"".join([part async for part in process.stdout()])

    assert await process.wait() == 0
    assert digest.decode().split()[0] == hashlib.sha256(chunk * 32).hexdigest()


async def test_a_hang_up_leaves_the_command_running(guests: Guests) -> None:
    """As after the end of an SSH session: the command goes on, nobody hears it."""
    vmid = await started(guests)
    process = await guests.execute(vmid, ["sh", "-c", "sleep 0.5; touch /root/finished"])

    process.terminate()

    await _until(guests, vmid, "test -e /root/finished")
    assert await process.wait() == 0


async def test_detached_work_holds_its_lock_and_survives(guests: Guests) -> None:
    """A script in a session of its own runs on after the command that began it."""
    vmid = await started(guests)
    work = "sh -c 'sleep 0.4; echo 5 > /run/job/code'"
    begin = f"mkdir -p /run/job; setsid flock /run/job/lock {work} > /run/job/log 2>&1 & sleep 0.1"

    await script(guests, vmid, begin)
    while_running = await script(guests, vmid, "flock --nonblock /run/job/lock true")

    assert while_running.code == 1
    await _until(guests, vmid, "grep -q 5 /run/job/code")


async def test_files_arrive_as_one_archive(guests: Guests, tmp_path: Path) -> None:
    """A tar on standard input is unpacked with modes, whatever owner it names."""
    vmid = await started(guests)
    source = tmp_path / "etc" / "app.conf"
    source.parent.mkdir()
    source.write_text("answer=42\n")
    source.chmod(0o640)
    packed = await asyncio.create_subprocess_exec(
        "tar",
        "-C",
        str(tmp_path),
        "--owner=root:0",
        "-cf",
        "-",
        "etc/app.conf",
        stdout=asyncio.subprocess.PIPE,
    )
    archive, _ = await packed.communicate()

    ran = await run(guests, vmid, "tar", "-C", "/", "-xpf", "-", stdin=archive)

    assert ran.code == 0, ran.errors
    assert (
        await script(guests, vmid, "stat -c '%a %u' /etc/app.conf; cat /etc/app.conf")
    ).output == "640 0\nanswer=42\n"


async def test_a_stopped_guest_refuses_commands_and_keeps_its_disk(guests: Guests) -> None:
    """Stop ends everything in it; the next start finds the files."""
    vmid = await started(guests)
    await script(guests, vmid, "echo stored > /root/file")

    await guests.stop(vmid)

    assert not guests.is_running(vmid)
    with pytest.raises(GuestError, match="not running"):
        await guests.execute(vmid, ["true"])
    await guests.start(vmid)
    assert (await run(guests, vmid, "cat", "/root/file")).output == "stored\n"


async def test_shutdown_ends_a_guest_that_has_booted(guests: Guests) -> None:
    """Init is asked, and ends."""
    vmid = await started(guests)
    await wait_until_ready(guests, vmid)

    assert await guests.shutdown(vmid, timeout_seconds=15)
    assert not guests.is_running(vmid)


async def test_a_guest_that_powers_off_by_itself_can_be_started(guests: Guests) -> None:
    """What is left of it does not stand in the way of the next start."""
    await started(guests)
    await wait_until_ready(guests, 100)

    await run(guests, 100, "systemctl", "poweroff")
    await until(lambda: not guests.is_running(100), within_seconds=30)
    await guests.start(100)

    assert await wait_until_ready(guests, 100) == "running"


async def test_destroy_forgets_everything_and_may_be_repeated(guests: Guests) -> None:
    """A running guest is stopped first; the number is free afterwards."""
    vmid = await started(guests)
    await script(guests, vmid, "mkdir -p /opt/shut; touch /opt/shut/file; chmod 000 /opt/shut")

    await guests.destroy(vmid)
    await guests.destroy(vmid)

    await started(guests, vmid)
    assert (await script(guests, vmid, "test -e /opt/shut")).code == 1


async def test_a_guest_is_created_once(guests: Guests) -> None:
    """The same number again is refused, and the first stays."""
    vmid = await started(guests)

    with pytest.raises(GuestError, match="exists already"):
        await guests.create(spec((await guests.templates())[0], vmid=vmid))

    assert guests.is_running(vmid)


@pytest.mark.parametrize("seconds", [0.0, 0.01, 0.03])
async def test_a_creation_that_was_broken_off_leaves_nothing(guests: Guests, seconds: float) -> None:
    """What is destroyed after it does not come back, and the number is free."""
    creating = asyncio.create_task(guests.create(spec((await guests.templates())[0])))
    await asyncio.sleep(seconds)
    creating.cancel()
    await asyncio.wait({creating})
    await guests.destroy(100)
    await asyncio.sleep(0.3)

    assert await started(guests) == 100


async def test_a_broken_archive_leaves_nothing(guests: Guests, tmp_path: Path) -> None:
    """Creating fails with tar's words, and the number is free afterwards."""
    broken = tmp_path / "broken.tar.gz"
    broken.write_bytes(b"this is no archive")

    with pytest.raises(GuestError, match=r"broken\.tar\.gz"):
        await guests.create(spec(broken))

    assert await started(guests) == 100


async def test_a_missing_archive_is_reported(guests: Guests, tmp_path: Path) -> None:
    """The sentence names it."""
    with pytest.raises(GuestError, match=r"absent\.tar\.zst"):
        await guests.create(spec(tmp_path / "absent.tar.zst"))


async def test_an_unknown_bridge_fails_the_start(guests: Guests) -> None:
    """As on Proxmox: created, but not started."""
    template = (await guests.templates())[0]
    await guests.create(spec(template, networks=(network(bridge="vmbr9"),)))

    with pytest.raises(GuestError, match="bridge 'vmbr9' does not exist"):
        await guests.start(100)

    assert not guests.is_running(100)


async def test_a_static_address_is_the_guests(guests: Guests) -> None:
    """It shows in the guest with its prefix, beside `lo`, under the given hardware address."""
    subnet = guests.bridges()["vmbr0"].rpartition(".")[0]
    template = (await guests.templates())[0]
    await guests.create(spec(template, networks=(network(ip=f"{subnet}.9/24", gw=f"{subnet}.1"),)))
    await guests.start(100)

    shown = {interface.name: interface for interface in await interfaces(guests, 100)}

    assert shown["eth0"].inet == f"{subnet}.9/24"
    assert shown["eth0"].hwaddr.upper() == "BC:24:11:00:00:01"
    assert shown["lo"].inet == "127.0.0.1/8"


async def test_addresses_are_given_to_those_who_ask(guests: Guests) -> None:
    """Two guests with `dhcp` get two addresses of the bridge's network."""
    for vmid in (101, 102):
        await started(guests, vmid)

    addresses = [interface.inet for vmid in (101, 102) for interface in await interfaces(guests, vmid)]

    own = {inet for inet in addresses if inet and inet != "127.0.0.1/8"}
    assert len(own) == 2


async def test_a_changed_configuration_counts_from_the_next_start(guests: Guests) -> None:
    """`update` leaves the running guest as it is."""
    vmid = await started(guests)
    template = (await guests.templates())[0]

    await guests.update(replace(spec(template, vmid=vmid), hostname="renamed"))
    before = (await run(guests, vmid, "uname", "-n")).output
    await guests.stop(vmid)
    await guests.start(vmid)

    assert before == "ct100\n"
    assert (await run(guests, vmid, "uname", "-n")).output == "renamed\n"


async def test_usage_is_measured(guests: Guests) -> None:
    """A running guest uses something of everything but swap."""
    vmid = await started(guests)
    await wait_until_ready(guests, vmid)

    used = await guests.usage(vmid)

    assert used.pid > 1
    assert 0 < used.uptime_seconds < 60
    assert used.cpu_seconds > 0
    assert 1 << 20 < used.memory_bytes < 1 << 28
    assert used.disk_bytes > 1 << 16


async def test_services_are_installed_and_answer_the_host(guests: Guests) -> None:
    """nginx, from apt to a page that the host can read at the guest's address."""
    vmid = await started(guests)
    await wait_until_ready(guests, vmid)

    ran = await script(
        guests, vmid, "apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y nginx-light"
    )
    await script(
        guests, vmid, "echo hello from the guest > /var/www/html/index.html; systemctl restart nginx"
    )

    assert ran.code == 0, ran.errors
    assert (await script(guests, vmid, "systemctl is-active nginx")).output == "active\n"
    assert ":80 " in (await script(guests, vmid, "ss -Htln")).output
    page = await _page(guests, vmid)
    assert "hello from the guest" in page


async def test_a_data_folder_has_one_lab(guests: Guests, tmp_path: Path) -> None:
    """A second lab on the same folder is refused, and harms nothing by closing."""
    vmid = await started(guests)
    second = another(guests, tmp_path)

    with pytest.raises(GuestError, match="another lab uses"):
        await second.open()
    await second.close()

    assert (await run(guests, vmid, "true")).code == 0


async def test_two_labs_do_not_meet(guests: Guests, tmp_path: Path) -> None:
    """Same numbers, different guests."""
    other = another(guests, tmp_path / "other")
    await other.open()
    try:
        await started(guests)
        await started(other)
        await script(guests, 100, "echo first > /root/whose")

        assert (await script(other, 100, "cat /root/whose")).code == 1
        await guests.stop(100)
        assert other.is_running(100)
        assert guests.bridges() != other.bridges()
    finally:
        await other.close()


async def _until(guests: Guests, vmid: int, condition: str) -> None:
    async def holds() -> bool:
        return (await script(guests, vmid, condition)).code == 0

    await until(holds, within_seconds=15)


async def _page(guests: Guests, vmid: int) -> str:
    """Read `/` at the guest's address; an ordinary user's simulated guest is reached 8000 ports higher."""
    shown = {interface.name: interface for interface in await interfaces(guests, vmid)}
    address = (shown["eth0"].inet or "").partition("/")[0]
    async with asyncio.timeout(15):
        while True:
            for port in (80, 8080):
                with contextlib.suppress(OSError):
                    reader, writer = await asyncio.open_connection(address, port)
                    writer.write(b"GET / HTTP/1.0\r\n\r\n")
                    page = await reader.read()
                    writer.close()
                    if page:
                        return page.decode()
            await asyncio.sleep(0.1)
