"""What a look says, and since when; what is wrong by what a question failed of."""

from datetime import UTC, datetime, timedelta

import pytest

from slipway.contracts.problems import SlipwayError
from slipway.contracts.values import Outage
from slipway.monitor import diagnosis
from slipway.monitor.diagnosis import Diagnosis, Subject, of_error, outage_of
from slipway.monitor.looks import Look, ranges
from slipway.proxmox import errors
from slipway.proxmox.errors import AccessRefused, CertificateMismatch, EndpointUnreachable, NoAnswer
from slipway.runtime.errors import BusUnavailable, ServiceUnavailable

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
HOME = Subject(name="home", endpoint="https://pve1:8006", asker="the token a@pve!b", pinned="AA:BB")
ODD = Diagnosis(code="cluster.odd", message="It is so.", remedy="Do this.")


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.NodeUnreachable("refused"), "cluster.unreachable"),
        (errors.NoAnswer("read timed out"), "cluster.no-answer"),
        (errors.AccessRefused("401"), "cluster.credentials-refused"),
        (errors.CertificateMismatch("not the pinned one."), "cluster.certificate-changed"),
        (errors.PermissionMissing("403"), "cluster.privilege-missing"),
        (errors.ClusterNotReady("no quorum"), "cluster.no-quorum"),
        (errors.ProxmoxFailed("<html>"), "cluster.not-understood"),
        (errors.ProxmoxRejected("no such file"), "cluster.not-understood"),
    ],
)
def test_an_error_of_a_host_is_a_diagnosis(error: SlipwayError, code: str) -> None:
    """It says what happened and what to do."""
    problem = of_error(error, HOME)

    assert problem is not None
    assert problem.code == code
    assert error.message in problem.message or "the token a@pve!b" in problem.message
    assert problem.remedy


@pytest.mark.parametrize("error", [BusUnavailable("away"), ServiceUnavailable("inventory is not running")])
def test_an_error_of_ours_is_none(error: SlipwayError) -> None:
    """A bus that is away says nothing of a cluster."""
    assert of_error(error, HOME) is None


def test_another_certificate_is_reported_with_both_fingerprints_and_the_request() -> None:
    """Whoever reads it needs nothing else."""
    problem = of_error(errors.CertificateMismatch("Not the pinned one."), HOME, shown="CC:DD")

    assert problem is not None
    assert "AA:BB" in problem.message
    assert "CC:DD" in problem.message
    assert 'PUT /api/v1/clusters/home/access {"tls_fingerprint": "CC:DD"}' in problem.remedy


def test_an_outage_that_lasts_keeps_its_beginning() -> None:
    """Another one begins anew; one that is over leaves nothing."""
    before = Outage(code=ODD.code, since=NOON, message="old words", remedy="")
    later = NOON + timedelta(minutes=1)

    assert outage_of(before, ODD, later) == Outage(
        code=ODD.code, since=NOON, message=ODD.message, remedy=ODD.remedy
    )
    other = outage_of(before, diagnosis.no_quorum("it has none."), later)
    assert other is not None
    assert other.since == later
    assert outage_of(before, None, later) is None


@pytest.mark.parametrize(
    ("vmids", "expected"),
    [([], []), ([100], [(100, 100)]), ([102, 100, 101, 105, 101], [(100, 102), (105, 105)])],
)
def test_vmids_are_reported_as_ranges(vmids: list[int], expected: list[tuple[int, int]]) -> None:
    """A thousand in a row are two numbers."""
    assert [(each.first, each.last) for each in ranges(vmids)] == expected


def test_a_look_that_fails_keeps_what_was_seen() -> None:
    """The time of the last good one, and the containers that it saw."""
    look = Look("c1", every_seconds=2.0)
    look.note_poll([100], None)
    seen = look.value()
    look.note_failure(ODD)

    value = look.value()

    assert (value.looked_at, value.guests) == (seen.looked_at, seen.guests)
    assert value.outage is not None
    assert value.outage.code == ODD.code


def test_another_replica_goes_on_from_the_last_look() -> None:
    """Since when something is wrong is no secret of the one that saw it begin."""
    look, other = Look("c1", every_seconds=2.0), Look("c1", every_seconds=2.0)
    look.note_failure(ODD)
    look.note_node("pve1", is_online=False, diagnosis=diagnosis.offline("pve1"))
    before = look.value()

    other.resume(before)
    other.note_failure(ODD)
    other.note_node("pve1", is_online=False, diagnosis=diagnosis.offline("pve1"))

    after = other.value()
    assert (after.outage, after.nodes) == (before.outage, before.nodes)


def test_a_node_that_is_away_is_reported_before_what_is_not_known_of_it() -> None:
    """One outage at a time: the greater one."""
    look = Look("c1", every_seconds=2.0)
    why = diagnosis.unanswered("pve1", {"storages": NoAnswer("Timed out.")}, "No login.")
    look.note_facts("pve1", is_online=True, parts_at={}, diagnosis=why)
    first = look.nodes["pve1"].outage
    look.note_node("pve1", is_online=True, diagnosis=diagnosis.silent("pve1", "nothing."))
    second = look.nodes["pve1"].outage
    look.note_node("pve1", is_online=True, diagnosis=None)

    third = look.nodes["pve1"].outage
    assert [each.code for each in (first, second, third) if each is not None] == [
        "node.storages-unknown",
        "node.no-answer",
        "node.storages-unknown",
    ]


@pytest.mark.parametrize("error", [EndpointUnreachable, CertificateMismatch, AccessRefused])
def test_a_cluster_that_is_not_reached_is_no_nodes_fault(error: type[SlipwayError]) -> None:
    """A remedy for its storages would lead astray; what else is wrong with it is reported."""
    why = {"storages": error("No."), "networks": NoAnswer("Timed out.")}

    problem = diagnosis.unanswered("pve1", why, None)

    assert problem is not None
    assert problem.code == "node.networks-unknown"
    assert diagnosis.unanswered("pve1", {"storages": error("No.")}, None) is None


def test_an_answer_moves_the_time_of_a_node_that_is_well() -> None:
    """Of one that is not, and of one that is not known, nothing changes."""
    look = Look("c1", every_seconds=2.0)
    look.note_answer("pve1")
    assert look.value().nodes == ()
    look.note_node("pve1", is_online=True, diagnosis=None)
    look.note_node("pve2", is_online=False, diagnosis=diagnosis.offline("pve2"))
    before = {each.node: each for each in look.value().nodes}

    look.note_answer("pve1")
    look.note_answer("pve2")

    after = {each.node: each for each in look.value().nodes}
    assert (after["pve1"].looked_at or NOON) > (before["pve1"].looked_at or NOON)
    assert after["pve2"] == before["pve2"]
    assert not look.is_well
