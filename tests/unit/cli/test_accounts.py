"""Which parts of closed folders the services' user is shown."""

import signal
import subprocess

import pytest

from slipway.standalone.accounts import confinement_for
from slipway.standalone.confine import confine
from support.folders import open_folder

pytestmark = pytest.mark.root


def test_open_folders() -> None:
    """Where everything can be reached, nothing is covered."""
    with open_folder("open") as folder:
        chosen = confinement_for(folder, [folder])

    assert chosen.account is not None
    assert chosen.account.uid != 0
    assert not chosen.show


def test_closed_folder() -> None:
    """Of a closed folder only what is needed is shown."""
    with open_folder("closed") as folder:
        closed = folder / "home"
        needed = closed / "clone" / "src"
        needed.mkdir(parents=True)
        closed.chmod(0o700)

        chosen = confinement_for(folder, [needed, needed / "deeper"])

    assert chosen.show in ({str(closed): [str(needed)]}, {})
    assert bool(chosen.show) or chosen.remark


def test_closed_itself() -> None:
    """What is closed itself can't be shown; then the user may read everything, and a remark says so."""
    with open_folder("shut") as folder:
        inner = folder / "shut"
        inner.mkdir(mode=0o700)

        chosen = confinement_for(folder, [inner])

    assert chosen.remark is not None
    assert chosen.account is None or chosen.account.uid != 0


def test_closed_file_is_read() -> None:
    """A process started this way is nobody, and reads what is closed to others."""
    with open_folder("shut") as folder:
        inner = folder / "shut"
        inner.mkdir(mode=0o700)
        (inner / "text").write_text("found")
        chosen = confinement_for(folder, [inner])
        orders = chosen.orders(dies_with=signal.SIGKILL)
        command = ["/bin/sh", "-c", f"id -u; cat {inner}/text"]

        process = subprocess.run(
            command,
            check=True,
            capture_output=True,
            text=True,
            preexec_fn=lambda: confine(orders),
        )

    assert process.stdout.split() == [str(chosen.account.uid if chosen.account else 0), "found"]
