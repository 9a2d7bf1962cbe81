"""`slipway demo` and `demo-clean`, as `make demo ONCE=1` runs them."""

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from slipway.cli.accounts import OURSELVES, Confinement, confinement_for, programs
from support.real_guests import need_real_guests
from support.stack import stack_folder

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]
ROOT = Path(__file__).parents[2]
CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f\x7f]")
RUN_SECONDS = 150


@dataclass(frozen=True, slots=True, kw_only=True)
class Demo:
    """A run that is over."""

    data: Path
    who: Confinement
    status: int
    said: str


def run(verb: str, data: Path, *arguments: str, who: Confinement = OURSELVES, **environment: str) -> Demo:
    """Run a verb of the command line to its end, as ourselves or as another user, without a terminal."""
    command = [sys.executable, "-m", "slipway.cli", verb, "--data", str(data), *arguments]
    ended = subprocess.run(
        who.wrap(command, dies_with=signal.SIGKILL),
        check=False,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=RUN_SECONDS,
        cwd="/",
        env={**os.environ, "HOME": str(data.parent), "LAB": "simulated", **environment},
    )
    return Demo(data=data, who=who, status=ended.returncode, said=ended.stdout.decode())


@pytest.fixture(scope="module", params=["ourselves", "ordinary user"])
def demo(request: pytest.FixtureRequest) -> Iterator[Demo]:
    """A whole demo on simulated guests, as who runs the tests, and as root also as an ordinary user."""
    with stack_folder() as data:
        who = OURSELVES
        if request.param == "ordinary user":
            who = confinement_for(data.parent, [*programs(), ROOT])
            if who.account is None:
                pytest.skip("there is no other user who could run it here")
            os.chown(data.parent, who.account.uid, who.account.gid)
        yield run("demo", data, "--once", "--port", "0", who=who)


def test_page_is_fetched(demo: Demo) -> None:
    """It ends well, after a page came through the container's own address."""
    assert demo.status == 0, demo.said
    assert re.search(r"GET http://\S+\n  200 OK: ", demo.said), demo.said
    assert "nginx/status-password" in demo.said


def test_plain_lines(demo: Demo) -> None:
    """Where there is no terminal, it says plain lines: five phases, and nothing that steers a terminal."""
    started = re.findall(r"^ *(\d+) % \| phase (\w+) started$", demo.said, re.MULTILINE)

    assert [phase for _, phase in started] == ["create", "start", "deploy", "sync", "finalize"]
    assert [percent for percent, _ in started] == ["0", "20", "35", "60", "90"]
    assert not CONTROL.search(demo.said)
    assert "simulated" in demo.said.splitlines()[0]


def test_cleaned(demo: Demo) -> None:
    """What it made can be removed by `demo-clean`; nothing of it runs or stays."""
    if demo.who is OURSELVES and os.geteuid() == 0:
        pytest.skip("root's would also take real containers from the tests beside this one")

    cleaned = run("demo-clean", demo.data, who=demo.who)

    assert cleaned.status == 0, cleaned.said
    assert f"removed {demo.data}" in cleaned.said
    assert list(demo.data.parent.iterdir()) == []


def test_failure_is_told(tmp_path: Path) -> None:
    """A demo whose container fails says why, and its exit status says so too."""
    templates = tmp_path / "lxc" / "templates"
    shutil.copytree(ROOT / "infra" / "lxc", templates.parent)
    (templates / "nginx-site" / "scripts" / "20-site.sh").write_text("echo no such site >&2; exit 3\n")
    with stack_folder() as data:
        ended = run("demo", data, "--once", "--port", "0", SLIPWAY_TEMPLATES_DIR=str(templates))

    assert ended.status == 1, ended.said
    assert "no such site" in ended.said
    assert "slipway: the job failed" in ended.said


@pytest.mark.lxc
def test_real_guests() -> None:
    """On real containers too the page comes through the container's own address."""
    need_real_guests()
    with stack_folder() as data:
        ended = run("demo", data, "--once", "--port", "0", LAB="lxc")

    assert ended.status == 0, ended.said
    assert re.search(r"GET http://\S+\n  200 OK: ", ended.said), ended.said
