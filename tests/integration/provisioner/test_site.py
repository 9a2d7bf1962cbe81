"""The site's proxy, mirrors and certificates: in the guest before its first package, and out of it again."""

import ipaddress
import re
from pathlib import Path

import httpx
import pytest

from slipway.contracts.container_specs import GuestSettings, NetworkSpec, PackageSpec
from slipway.contracts.job_kinds import JobKind
from slipway.contracts.values import JobState
from slipway.lab.guests.lxc.template import SOURCES as SOURCES_OF_HOST
from slipway.provisioner.host import site
from slipway.provisioner.steps.site import SITE_SCRIPT, TIMEOUT
from slipway.proxmox.files import deploy
from slipway.proxmox.pct import Pct
from support.https_server import Answer, HttpsServer, Request
from support.lab import running_lab
from support.nats import MakeBus
from support.provisioner_side import Ground, provisioner_on, status_of
from support.real_guests import need_real_guests

APT = """\
deb http://ftp.de.debian.org/debian bookworm main contrib
deb [arch=amd64] http://security.debian.org bookworm-security main
deb https://packages.example.org/node nodistro main
"""
UBUNTU = "URIs: http://archive.ubuntu.com/ubuntu/ http://ports.ubuntu.com/ubuntu-ports\n"
APK = """\
https://dl-cdn.alpinelinux.org/alpine/v3.23/main
@edge http://x.org/alpine/edge/testing
/media/cdrom/apks
"""
SOURCES = {
    "/etc/apt/sources.list": APT,
    "/etc/apt/sources.list.d/u.sources": UBUNTU,
    "/etc/apk/repositories": APK,
}
APT_OF_MIRROR = """\
deb http://mirror.lan:80/a/debian bookworm main contrib
deb [arch=amd64] http://mirror.lan:80/a/debian-security bookworm-security main
deb https://packages.example.org/node nodistro main
"""
UBUNTU_OF_MIRROR = "URIs: http://mirror.lan:80/a/ubuntu http://mirror.lan:80/a/ubuntu-ports\n"
APK_OF_MIRROR = """\
https://mirror.lan/alpine/v3.23/main
@edge https://mirror.lan/alpine/edge/testing
/media/cdrom/apks
"""
MIRRORS = ("http://mirror.lan:80/a", "https://mirror.lan/alpine")


async def run(ground: Ground, *arguments: str) -> str:
    """Run a command in the guest; its output."""
    done = await Pct(ground.cluster.shell(ground.lab.name)).execute(100, arguments, timeout=TIMEOUT)
    assert done.exit_code == 0, (done.stdout, done.stderr)
    return done.stdout


async def write(ground: Ground, path: str, text: str) -> None:
    """Write a file in the guest."""
    await run(ground, "sh", "-c", 'mkdir -p "${1%/*}" && printf %s "$2" >"$1"', "sh", path, text)


async def test_sources_are_those_of_the_mirror_until_it_is_taken_back(ground: Ground) -> None:
    """Debian's, Ubuntu's and Alpine's; others stay and are named; what was changed since stays as it is."""
    await ground.make(runs=True)
    for path, text in SOURCES.items():
        await write(ground, path, text)
    settings = GuestSettings(apt_mirror=MIRRORS[0], apk_mirror=MIRRORS[1])
    await deploy(Pct(ground.cluster.shell(ground.lab.name)), 100, site.files(settings, SITE_SCRIPT))

    once, twice = [await run(ground, "sh", site.SCRIPT, "apply", *MIRRORS) for _ in range(2)]
    rewritten = [await run(ground, "cat", path) for path in SOURCES]
    await write(ground, "/etc/apk/repositories", "mine\n")
    removed = await run(ground, "sh", site.SCRIPT, "remove")

    assert once == twice == "other https://packages.example.org/node\ndone\n"
    assert rewritten == [APT_OF_MIRROR, UBUNTU_OF_MIRROR, APK_OF_MIRROR]
    assert removed == "changed /etc/apk/repositories\ndone\n"
    after = [await run(ground, "cat", path) for path in SOURCES]
    assert after == [APT, UBUNTU, "mine\n"]
    assert await run(ground, "sh", "-c", f"ls {site.FOLDER} 2>/dev/null || :") == ""


async def test_a_creation_sets_it_up_before_packages_and_scripts(ground: Ground) -> None:
    """Apt and scripts go through the proxy, but not to the mirror; a shell of the guest knows it as well."""
    settings = GuestSettings(http_proxy="http://proxy:3128", no_proxy=".lan,nas", apt_mirror="http://mirror")
    bundle = await ground.bundle(
        a='echo "by $http_proxy but $no_proxy"\ncat /etc/apt/apt.conf.d/99slipway-site'
    )
    command = await ground.command(JobKind.CREATE, bundle=bundle)
    spec = command.spec.model_copy(update={"guest": settings})

    record = await ground.run(command.model_copy(update={"spec": spec}))

    assert record.state is JobState.SUCCEEDED, record.error
    names = [each.name for each in record.steps]
    assert names.index("start.address") < names.index("start.site") < names.index("start.ready")
    lines = await ground.lines()
    assert "by http://proxy:3128 but localhost,127.0.0.1,::1,mirror,.lan,nas" in lines
    assert {'Acquire::http::Proxy "http://proxy:3128";', 'Acquire::http::Proxy::mirror "DIRECT";'} <= set(
        lines
    )
    assert "https_proxy=http://proxy:3128" in await run(ground, "cat", "/etc/profile.d/slipway-site.sh")


@pytest.fixture(scope="module")
def archive() -> str:
    """Where real containers here have their packages from: one of Debian's own servers."""
    need_real_guests()
    sources = "".join(each.read_text() for each in SOURCES_OF_HOST if each.exists())
    found = re.search(r"(https?://[\w.-]+\.debian\.org)/debian\b", sources)
    if found is None:
        pytest.skip("the packages of this machine do not come from a server of Debian's own")
    return found[1]


@pytest.mark.lxc
async def test_without_a_way_out_all_comes_from_the_mirror(
    archive: str, make_bus: MakeBus, tmp_path: Path
) -> None:
    """A guest without a default route installs from an HTTPS mirror with a certificate of the site."""

    def relay(request: Request) -> Answer:
        answer = httpx.get(f"{archive}{request.path}", timeout=60)
        return Answer(status=answer.status_code, body=answer.content)

    async with (
        running_lab(tmp_path / "lab", guests="lxc") as lab,
        provisioner_on(lab, make_bus, tmp_path) as ground,
    ):
        bridge = next(each for each in await ground.cluster.api.networks(lab.name) if each.name == "vmbr0")
        host = ipaddress.ip_interface(str(bridge.cidr))
        with HttpsServer(tmp_path, relay, address=str(host.ip)) as mirror:
            settings = GuestSettings(apt_mirror=mirror.endpoint, ca=mirror.ca, is_outgoing_blocked=True)
            command = await ground.command(JobKind.CREATE)
            update = {
                "guest": settings,
                "packages": (PackageSpec(manager="apt", names=("hello",)),),
                "networks": (NetworkSpec(name="eth0", bridge="vmbr0", ip=f"{host.network[200]}/24"),),
            }
            spec = command.spec.model_copy(update=update)
            record = await ground.run(command.model_copy(update={"spec": spec}))
            lines = await ground.lines()
            routes = await run(ground, "ip", "route")
            removed = await run(ground, "sh", site.SCRIPT, "remove")
            sources = await run(
                ground, "sh", "-c", "cat /etc/apt/sources.list* /etc/apt/*/*.sources 2>&1 || :"
            )

    assert record.state is JobState.SUCCEEDED, record.error
    assert status_of(record, "start.site") == "finished"
    assert "default" not in routes
    assert any(request.path.startswith("/debian/dists/") for request in mirror.requests)
    assert any(line.startswith("Setting up hello ") for line in lines)
    assert (removed, mirror.endpoint in sources) == ("done\n", False)
