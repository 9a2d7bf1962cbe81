"""Which guests this machine gets, and the sentence that says so."""

import os
import subprocess
import sys

import pytest

from slipway.lab.guests.choose import choose
from slipway.lab.guests.protocol import GuestError

CHOOSE = "from slipway.lab.guests.choose import choose; print(choose('{}').reason)"


def test_simulated_guests_can_be_asked_for() -> None:
    """Also where real ones would run."""
    choice = choose("simulated")

    assert choice.kind == "simulated"
    assert choice.reason == "Guests: simulated, because it was asked for"


def test_something_is_always_chosen_and_reported() -> None:
    """Real containers for root, simulated guests for others; one line either way."""
    choice = choose("auto")

    assert choice.reason.startswith("Guests: ")
    assert "\n" not in choice.reason
    assert os.geteuid() == 0 or choice.kind == "simulated"


@pytest.mark.root
def test_a_root_that_may_not_mount_gets_simulated_guests_or_a_reason() -> None:
    """As in an application container."""
    without = ["setpriv", "--bounding-set", "-sys_admin,-net_admin", sys.executable, "-c"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}

    process = subprocess.run(
        [*without, CHOOSE.format("lxc")], env=environment, capture_output=True, text=True, check=False
    )
    chosen = subprocess.run(
        [*without, CHOOSE.format("auto")], env=environment, capture_output=True, text=True, check=False
    )

    assert "this root may neither mount nor make bridges" in process.stderr
    assert "this root may neither mount" in chosen.stdout or "No guests can run here" in chosen.stderr


@pytest.mark.skipif(os.geteuid() == 0, reason="root gets them")
def test_real_containers_are_refused_to_ordinary_users() -> None:
    """With the reason."""
    with pytest.raises(GuestError, match="Real LXC containers cannot run here: this process is not root"):
        choose("lxc")
