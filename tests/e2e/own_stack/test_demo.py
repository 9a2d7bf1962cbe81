"""`slipway demo` and `demo-clean`, as `make demo ONCE=1` runs them."""

import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from slipway.standalone.accounts import OURSELVES, confinement_for, programs
from support.demo import Demo, run_demo
from support.stack import stack_folder

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]
ROOT = Path(__file__).parents[3]
CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f\x7f]")


@pytest.fixture(scope="module")
def demo() -> Iterator[Demo]:
    """A whole demo on simulated guests, as an ordinary user; root's own is `test_failure_is_reported`'s."""
    with stack_folder() as data:
        who = confinement_for(data.parent, [*programs(), ROOT])
        if who.account is not None:
            os.chown(data.parent, who.account.uid, who.account.gid)
        yield run_demo("demo", data, "--once", "--port", "0", who=who)


def test_page_is_fetched(demo: Demo) -> None:
    """It ends well, after a page came through the container's own address."""
    assert demo.status == 0, demo.output
    assert re.search(r"GET http://\S+\n  200 OK: ", demo.output), demo.output
    assert "nginx/status-password" in demo.output


def test_plain_lines(demo: Demo) -> None:
    """Where there is no terminal, it prints plain lines: five phases, and nothing that steers a terminal."""
    started = re.findall(r"^ *(\d+) % \| phase (\w+) started$", demo.output, re.MULTILINE)

    assert [phase for _, phase in started] == ["create", "start", "deploy", "sync", "finalize"]
    assert [percent for percent, _ in started] == ["0", "20", "35", "60", "90"]
    assert not CONTROL.search(demo.output)
    assert "simulated" in demo.output.splitlines()[0]


@pytest.mark.confined
def test_cleaned(demo: Demo) -> None:
    """What it made can be removed by `demo-clean`; nothing of it runs or stays."""
    if demo.who is OURSELVES and os.geteuid() == 0:
        pytest.skip("root's would also take real containers from the tests beside this one")

    cleaned = run_demo("demo-clean", demo.data, who=demo.who)

    assert cleaned.status == 0, cleaned.output
    assert f"removed {demo.data}" in cleaned.output
    assert list(demo.data.parent.iterdir()) == []


def test_failure_is_reported(tmp_path: Path) -> None:
    """A demo whose container fails says why, and its exit status says so too."""
    templates = tmp_path / "lxc" / "templates"
    shutil.copytree(ROOT / "infra" / "lxc", templates.parent)
    (templates / "nginx-site" / "scripts" / "20-site.sh").write_text("echo no such site >&2; exit 3\n")
    with stack_folder() as data:
        ended = run_demo("demo", data, "--once", "--port", "0", SLIPWAY_TEMPLATES_DIR=str(templates))

    assert ended.status == 1, ended.output
    assert "no such site" in ended.output
    assert "slipway: the job failed" in ended.output
