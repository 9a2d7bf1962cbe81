"""What a paused installation answers, and what counts as a difference."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pytest

from slipway.contracts import bulk, clusters, containers, dead_letters, jobs
from slipway.contracts.installation import PlanResume, ResumeInstallation
from slipway.contracts.message import Query
from slipway.contracts.values import CONFIG_UNREAD
from slipway.inventory.installation import rules


@dataclass
class Row:
    """A container's row."""

    id: str
    vmid: int
    lifecycle: str = "ready"
    power: str = "running"
    node: str = "pve1"
    hostname: str = "web"
    cluster: str = "home"
    warnings: Sequence[str] = ()


@pytest.mark.parametrize(
    "query",
    [
        containers.CreateContainer,
        containers.DeleteContainer,
        containers.ForgetContainer,
        jobs.RequestJob,
        jobs.RetryJob,
        jobs.RequestCancel,
        jobs.GetJobSecrets,
        jobs.ReplaceVmid,
        bulk.RequestBatch,
        bulk.CreateContainers,
        clusters.AddCluster,
        clusters.SetMaintenance,
        dead_letters.ReplayDeadLetter,
    ],
)
def test_what_acts_is_refused(query: type[Query[Any]]) -> None:
    """People's requests, and what a run asks before it begins."""
    assert not rules.is_allowed(query.subject)


@pytest.mark.parametrize(
    "query",
    [containers.GetContainer, jobs.ListJobs, clusters.ChangeClusterAccess, PlanResume, ResumeInstallation],
)
def test_what_a_resume_needs_is_answered(query: type[Query[Any]]) -> None:
    """Also another access to a cluster, without which nothing could be compared."""
    assert rules.is_allowed(query.subject)


def test_a_verb_that_nobody_knows_is_refused() -> None:
    """What comes later acts, until somebody says that it does not."""
    assert not rules.is_allowed("slipway.v1.query.inventory.container.explode")


def test_containers_that_are_gone_and_that_are_new() -> None:
    """A container that is just being created may be missing; one that is here in any state is known."""
    rows = [Row("a", 100), Row("b", 101), Row("c", 102, lifecycle="creating")]

    gone = rules.missing(rows, frozenset({100, 105}))
    new = rules.unknown("home", rows, frozenset({100, 105}))

    assert [each.id for each in gone] == ["b"]
    assert [each.vmids for each in new] == [(105,)]


def test_containers_that_are_otherwise() -> None:
    """In power, node or config; a warning of before is no difference."""
    stored: dict[str, Any] = {"power": "running", "node": "pve1", "warnings": []}
    before = dict.fromkeys("abc", stored) | {"d": stored | {"warnings": [CONFIG_UNREAD]}}
    rows = [
        Row("a", 100),
        Row("b", 101, power="stopped"),
        Row("c", 102, warnings=[CONFIG_UNREAD]),
        Row("d", 103, warnings=[CONFIG_UNREAD]),
    ]

    changes = rules.changed(rows, frozenset(range(100, 104)), before)

    assert [(each.id, each.power, each.has_other_config) for each in changes] == [
        ("b", "stopped", False),
        ("c", "running", True),
    ]
