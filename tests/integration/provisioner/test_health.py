"""The health check of a template, by each shell and with each program that a guest may have or lack."""

import re
import shutil
from datetime import timedelta

import pytest

from slipway.contracts.job_kinds import JobKind
from slipway.contracts.templates import HealthCheck
from slipway.provisioner.steps import health
from slipway.proxmox.ssh import Completed
from support.lab_client import NODE
from support.provisioner_side import VMID, Ground, status_of

FEW = "cat date head rm sed setsid sh sleep sort tail tr"
"""All that the check needs, beside a program that speaks HTTP."""
SHELLS = ("dash", "busybox sh", "bash")
CLIENTS = ("bash", "busybox nc", "curl", "wget", "busybox wget")
LIMIT = timedelta(seconds=60)
BOUND = {
    8101: "127.0.0.5",
    8102: "0.0.0.0",  # noqa: S104 - the kind of address that most services have
    8103: "::1",
    8104: "::",
    8105: "::ffff:127.0.0.9",
}
SILENT, TLS = 8106, 8107
SERVERS = """
import asyncio, socket, ssl

class Service(asyncio.Protocol):
    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        status = {b"/fine": 200, b"/moved": 302}.get(data.split()[1], 503)
        answer = f"HTTP/1.1 {status} X\\r\\n\\r\\n".encode()
        # At the end of its input it closes, as asyncio and uvicorn do, though the answer is still to come.
        asyncio.get_running_loop().call_later(0.05, self.answer, answer)

    def answer(self, answer):
        if not self.transport.is_closing():
            self.transport.write(answer)
            self.transport.close()

def bound(address, port):
    is_mapped = address.startswith("::ffff:")
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    return socket.create_server((address, port), family=family, dualstack_ipv6=is_mapped)

async def serve():
    loop = asyncio.get_running_loop()
    for port, address in BOUND.items():
        await loop.create_server(Service, sock=bound(address, port))
    # Without a certificate: what is no TLS is refused before that matters.
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    await loop.create_server(Service, sock=bound("127.0.0.1", TLS), ssl=tls)
    silent = bound("127.0.0.1", SILENT)
    open("/run/listening", "w")
    await asyncio.Event().wait()

asyncio.run(serve())
"""
BEGIN = """
mkdir -p /opt/few /run
for each in $1; do ln -sf "$(command -v "$each")" /opt/few; done
cat >/opt/servers.py
setsid python3 /opt/servers.py >/opt/servers.log 2>&1 3>&- &
tries=100
while [ ! -e /run/listening ] && [ "$tries" -gt 0 ]; do sleep 0.1; tries=$((tries - 1)); done
[ -e /run/listening ] || { cat /opt/servers.log >&2; exit 1; }
"""
CHECK = """
shell=$1 client=$2 script=$3
shift 3
rm -f /opt/few/bash /opt/few/nc /opt/few/curl /opt/few/wget
[ -z "$client" ] || ln -s "$(command -v "${client%% *}")" "/opt/few/${client##* }"
program=$(command -v "${shell%% *}") applet=${shell#"${shell%% *}"}
PATH=/opt/few exec "$program" $applet -c "$script" slipway "$@"
"""


def _here(commands: tuple[str, ...]) -> list[str]:
    """Leave out what this machine lacks."""
    return [each for each in commands if shutil.which(each.split()[0])]


class Guest:
    """A guest that listens on all of `BOUND`, and checks there with few programs."""

    def __init__(self, ground: Ground) -> None:
        self.ground = ground

    async def begin(self) -> None:
        """Start it."""
        await self.ground.make(runs=True)
        servers = f"BOUND, SILENT, TLS = {BOUND!r}, {SILENT}, {TLS}\n{SERVERS}".encode()
        await self.run(BEGIN, FEW, stdin=servers)

    async def run(self, script: str, *arguments: str, stdin: bytes = b"") -> Completed:
        """Run a script that must succeed."""
        pct = self.ground.cluster.pct(NODE)
        done = await pct.script(VMID, script, arguments, stdin=stdin, timeout=LIMIT)
        assert done.exit_code == 0, done
        return done

    async def check(
        self,
        kind: str,
        port: int = 0,
        path: str = "/fine",
        *,
        seconds: int = 0,
        text: str = "",
        shell: str = "sh",
        client: str = "",
    ) -> Completed:
        """Run a health check, by default one try, with nothing on the PATH but `FEW` and one client."""
        arguments = (kind, str(seconds), str(port), path, "/run/slipway-test")
        return await self.ground.cluster.pct(NODE).script(
            VMID,
            CHECK,
            (shell, client, health.SCRIPT, *arguments),
            stdin=text.encode(),
            timeout=LIMIT,
        )


@pytest.fixture
async def guest(ground: Ground) -> Guest:
    """A simulated guest, which has the programs of this machine."""
    guest = Guest(ground)
    await guest.begin()
    return guest


async def test_http_is_asked_where_the_port_is_bound(guest: Guest) -> None:
    """By whichever program there is, of a service that takes a while; a redirect is an answer, too."""
    for port, client in ((port, client) for client in _here(CLIENTS) for port in BOUND):
        done = await guest.check("http", port, "/moved" if port % 2 else "/fine", client=client)
        assert done.exit_code == 0, (client, port, done)


@pytest.mark.parametrize(
    ("port", "path", "said"),
    [
        (8105, "/broken", "127.0.0.9:8105 answers with HTTP status 503"),
        (810, "/fine", "nothing listens on port 810"),
        (TLS, "/fine", f"127.0.0.1:{TLS} does not answer over HTTP: .*check it with kind: tcp"),
    ],
)
async def test_it_says_why_http_does_not_hold(guest: Guest, port: int, path: str, said: str) -> None:
    """Whichever program asked."""
    for client in _here(CLIENTS):
        done = await guest.check("http", port, path, client=client)

        assert done.exit_code == 1, (client, done)
        assert re.search(said, done.stdout), (client, done)


async def test_any_shell_runs_it(guest: Guest) -> None:
    """Also with nothing that speaks HTTP: then the exit code says that it only listens."""
    for shell in _here(SHELLS):
        for port in BOUND:
            assert (await guest.check("tcp", port, shell=shell)).exit_code == 0, (shell, port)
            assert (await guest.check("http", port, shell=shell)).exit_code == 3, (shell, port)
        for client in _here(CLIENTS):
            assert (await guest.check("http", port, shell=shell, client=client)).exit_code == 0, (
                shell,
                client,
            )
        for kind in ("tcp", "http"):
            done = await guest.check(kind, 810, shell=shell)
            assert (done.exit_code, done.stdout.strip()) == (1, "nothing listens on port 810"), shell


async def test_a_service_that_says_nothing_is_not_waited_for(guest: Guest) -> None:
    """What accepts and never answers does not hold the check beyond its time and one try."""
    for client in _here(("bash", "busybox nc")):
        done = await guest.check("http", SILENT, client=client)

        assert done.exit_code == 1, (client, done)
        assert f"127.0.0.1:{SILENT} does not answer over HTTP: no answer" in done.stdout


async def test_a_command_has_its_time_and_its_output_a_bound(guest: Guest) -> None:
    """What it began is ended with it; its exit code is never taken for another kind's."""
    flood = "head -c 3000000 /dev/zero | tr '\\0' x; exit 3"
    for shell in _here(SHELLS):
        hangs = await guest.check("command", text="echo waits; sleep 98771 & wait", seconds=1, shell=shell)
        floods = await guest.check("command", text=flood, shell=shell)
        fine = await guest.check("command", text="[ -d /opt/few ]", shell=shell)

        assert (hangs.exit_code, hangs.stdout.split()[:4]) == (1, ["waits", "it", "did", "not"]), shell
        assert (floods.exit_code, len(floods.stdout.strip())) == (1, 400), shell
        assert fine.exit_code == 0, shell
    await guest.run("! pgrep -f '[s]leep 98771' || exit 1")


async def test_a_check_that_does_not_hold_says_what_was_answered(ground: Ground) -> None:
    """The job fails with what the last try said."""
    check = HealthCheck(kind="http", port=8080, path="/", timeout_seconds=1)
    command = await ground.command(JobKind.CREATE, bundle=await ground.bundle(health=check))

    record = await ground.run(command)

    assert status_of(record, "finalize.health") == "failed"
    assert record.error is not None
    assert record.error.code == "guest.unhealthy"
    assert record.error.message.endswith("nothing listens on port 8080")
