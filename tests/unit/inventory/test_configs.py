"""What a config that was read, or a guest that was seen, says of a container."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from slipway.contracts.configs import HostConfig
from slipway.contracts.container_specs import ContainerSpec, NetworkSpec
from slipway.contracts.guests import GuestStatus
from slipway.contracts.jobs import Target
from slipway.contracts.values import PendingChange, Power
from slipway.inventory.containers.configs import (
    differs,
    is_newer,
    may_be_old,
    may_have_applied,
    was_started,
    with_config,
)

AT = datetime(2026, 1, 1, tzinfo=UTC)
TARGET = Target(container="c1", cluster="k1", cluster_name="home", node="pve2", vmid=104, hostname="web")
SPEC = ContainerSpec(hostname="web", template="t", node="pve1", memory=512, tags=("Blue",), tty=2)


def seen(**changes: Any) -> GuestStatus:
    """Return a guest that is as its container is known."""
    usual = {
        "id": "k1-104",
        "cluster": "k1",
        "node": "pve2",
        "vmid": 104,
        "name": "web",
        "tags": ("blue",),
        "power": Power.RUNNING,
        "uptime_seconds": 60,
        "memory_max_bytes": 512 * 1024 * 1024,
        "observed_at": AT,
    }
    return GuestStatus.model_validate(usual | changes)


def test_what_holds_is_known_and_what_waits_is_not() -> None:
    """Whatever the host can't know stays: template, variables, scripts."""
    network = NetworkSpec(name="eth0", bridge="vmbr1", ip="dhcp")
    waiting = {"tty": PendingChange(now=None, after_restart="1")}
    config = HostConfig(read_at=AT, hostname="other", memory=300, networks=(network,), pending=waiting)

    spec = with_config(SPEC, config, TARGET)

    assert (spec.hostname, spec.memory, spec.networks, spec.tags, spec.tty) == (
        "other",
        300,
        (network,),
        (),
        None,
    )
    assert (spec.template, spec.node) == ("t", "pve2")


def test_a_container_without_a_name_is_called_as_proxmox_calls_it() -> None:
    """Its name was deleted by hand."""
    assert with_config(SPEC, HostConfig(read_at=AT), TARGET).hostname == "CT104"


@pytest.mark.parametrize(
    ("changes", "doubtful"),
    [
        ({}, False),
        ({"name": "other"}, True),
        ({"name": ""}, False),
        ({"tags": ()}, True),
        ({"tags": None}, False),
        ({"memory_max_bytes": 1}, True),
        ({"memory_max_bytes": 0}, False),
    ],
)
def test_a_guest_that_is_not_as_known_is_read(changes: dict[str, Any], *, doubtful: bool) -> None:
    """What an older monitor, or an offline node, leaves out says nothing."""
    assert differs(seen(**changes), "web", SPEC) is doubtful


@pytest.mark.parametrize(("discovered", "started"), [(None, True), (-120, True), (-65, False), (-30, False)])
def test_a_start_since_the_last_look_is_noticed(discovered: int | None, *, started: bool) -> None:
    """Its moment may seem ten seconds late."""
    at = None if discovered is None else AT + timedelta(seconds=discovered)

    assert was_started(seen(), at) is started


@pytest.mark.parametrize(("read", "applied"), [(None, True), (-65, True), (-55, False)])
def test_what_waited_is_read_again_after_any_start(read: int | None, *, applied: bool) -> None:
    """Also if the start only seems to be later than the last look: reading costs little."""
    at = None if read is None else AT + timedelta(seconds=read)

    assert may_have_applied(seen(), at) is applied


@pytest.mark.parametrize(
    ("later", "power", "is_old"),
    [
        (9, Power.STOPPED, True),
        (10, Power.STOPPED, False),
        (9, Power.RUNNING, False),
        (9, Power.UNKNOWN, False),
    ],
)
def test_a_list_may_be_older_than_what_the_guest_said_itself(
    later: int, power: Power, *, is_old: bool
) -> None:
    """For ten seconds after its config was read, another power in the list is no news."""
    assert may_be_old(seen(), power, AT - timedelta(seconds=later)) is is_old
    assert not may_be_old(seen(), power, None)


@pytest.mark.parametrize(
    ("earlier", "power", "expected"),
    [
        (9, Power.RUNNING, True),
        (10, Power.RUNNING, False),
        (9, Power.UNKNOWN, False),
        (-1, Power.UNKNOWN, True),
    ],
)
def test_what_a_guest_said_itself_counts_before_a_list(earlier: int, power: Power, *, expected: bool) -> None:
    """A list of up to ten seconds later may be older; that a guest is gone is no list's word."""
    assert is_newer(AT - timedelta(seconds=earlier), power, AT) is expected
    assert is_newer(AT, power, None)
