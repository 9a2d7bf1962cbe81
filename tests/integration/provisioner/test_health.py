"""The health check of a template, by each shell and with each program that a guest may have or lack."""

import shutil
import time
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
BOUND = {
    8101: "127.0.0.5",
    8102: "0.0.0.0",  # noqa: S104 - the kind of address that most services have
    8103: "::1",
    8104: "::",
    8105: "::ffff:127.0.0.9",
}
SILENT = 8106
SERVERS = """
import http.server, socket, threading

class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response({"/fine": 200, "/moved": 302}.get(self.path, 503))
        self.end_headers()

class Server(http.server.ThreadingHTTPServer):
    address_family = socket.AF_INET6

class Only6(Server):
    def server_bind(self):
        self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        super().server_bind()

def serve(port, address):
    kind = Only6 if address == "::" else Server if ":" in address else http.server.ThreadingHTTPServer
    threading.Thread(target=kind((address, port), Handler).serve_forever).start()

for port, address in BOUND.items():
    serve(port, address)
silent = socket.create_server(("127.0.0.1", SILENT))
open("/run/listening", "w")
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


def _here(commands: tuple[str, ...]) -> list[object]:
    """Leave out what this machine lacks."""
    return [
        pytest.param(
            each, marks=pytest.mark.skipif(not shutil.which(each.split()[0]), reason=f"no {each} here")
        )
        for each in commands
    ]


class Guest:
    """A guest that listens on all of `BOUND`, and checks there with few programs."""

    def __init__(self, ground: Ground) -> None:
        self.ground = ground

    async def begin(self) -> None:
        """Start it."""
        await self.ground.make(runs=True)
        servers = f"BOUND, SILENT = {BOUND!r}, {SILENT}\n{SERVERS}".encode()
        await self.run(BEGIN, FEW, stdin=servers)

    async def run(self, script: str, *arguments: str, stdin: bytes = b"") -> Completed:
        """Run a script that must succeed."""
        pct = self.ground.cluster.pct(NODE)
        done = await pct.script(VMID, script, arguments, stdin=stdin, timeout=timedelta(seconds=30))
        assert done.exit_code == 0, done
        return done

    async def check(
        self,
        kind: str,
        port: int = 0,
        path: str = "/fine",
        *,
        seconds: int = 1,
        text: str = "",
        shell: str = "sh",
        client: str = "",
    ) -> Completed:
        """Run a health check with nothing on the PATH but `FEW` and one client."""
        arguments = (kind, str(seconds), str(port), path, "/run/slipway-test")
        return await self.ground.cluster.pct(NODE).script(
            VMID,
            CHECK,
            (shell, client, health.SCRIPT, *arguments),
            stdin=text.encode(),
            timeout=timedelta(seconds=seconds + 10),
        )


@pytest.fixture
async def guest(ground: Ground) -> Guest:
    """A simulated guest, which has the programs of this machine."""
    guest = Guest(ground)
    await guest.begin()
    return guest


@pytest.mark.parametrize("client", _here(CLIENTS))
async def test_http_is_asked_where_the_port_is_bound(guest: Guest, client: str) -> None:
    """By whichever program there is; a redirect is an answer, an error is none."""
    for port in BOUND:
        fine = await guest.check("http", port, client=client)
        moved = await guest.check("http", port, "/moved", client=client)
        assert (fine.exit_code, moved.exit_code) == (0, 0), (fine, moved)

    broken = await guest.check("http", port, "/broken", client=client)
    assert (broken.exit_code, broken.stdout.strip()) == (1, f"127.0.0.9:{port} answers with HTTP status 503")


@pytest.mark.parametrize("shell", _here(SHELLS))
async def test_any_shell_runs_it(guest: Guest, shell: str) -> None:
    """Also with nothing that speaks HTTP: then the exit code says that it only listens."""
    for port in BOUND:
        assert (await guest.check("tcp", port, shell=shell)).exit_code == 0
        assert (await guest.check("http", port, shell=shell, client="bash")).exit_code == 0
        assert (await guest.check("http", port, shell=shell)).exit_code == 3

    for kind in ("tcp", "http"):
        done = await guest.check(kind, 810, shell=shell)
        assert (done.exit_code, done.stdout.strip()) == (1, "nothing listens on port 810")


async def test_a_service_that_says_nothing_is_not_waited_for(guest: Guest) -> None:
    """What accepts and never answers does not hold the check beyond its time and one try."""
    began = time.monotonic()
    done = await guest.check("http", SILENT, client="bash")

    assert (done.exit_code, done.stdout.strip()) == (
        1,
        f"127.0.0.1:{SILENT} does not answer over HTTP: no answer",
    )
    assert time.monotonic() - began < 10


@pytest.mark.parametrize("shell", _here(SHELLS))
async def test_a_command_has_its_time_and_its_output_a_bound(guest: Guest, shell: str) -> None:
    """What it began is ended with it; its exit code is never taken for another kind's."""
    began = time.monotonic()
    hangs = await guest.check("command", text="echo waits; sleep 98771 & wait", seconds=2, shell=shell)
    took = time.monotonic() - began
    floods = await guest.check("command", text="head -c 3000000 /dev/zero | tr '\\0' x; exit 3", shell=shell)
    left = await guest.run("! pgrep -f '[s]leep 98771' || exit 1")

    assert (hangs.exit_code, hangs.stdout.split()) == (
        1,
        ["waits", "it", "did", "not", "end", "within", "2", "s"],
    )
    assert took < 8
    assert (floods.exit_code, len(floods.stdout.strip())) == (1, 400)
    assert left.exit_code == 0
    assert (await guest.check("command", text="[ -d /opt/few ]", shell=shell)).exit_code == 0


async def test_a_check_that_does_not_hold_says_what_was_answered(ground: Ground) -> None:
    """The job fails with what the last try said."""
    check = HealthCheck(kind="http", port=8080, path="/", timeout_seconds=1)
    command = await ground.command(JobKind.CREATE, bundle=await ground.bundle(health=check))

    record = await ground.run(command)

    assert status_of(record, "finalize.health") == "failed"
    assert record.error is not None
    assert record.error.code == "guest.unhealthy"
    assert "127.0.0.1:8080 does not answer over HTTP: " in record.error.message
    assert record.error.message.endswith("Connection refused")
