"""The registry of job kinds: each kind has one row, and arguments are read as the model of their kind."""

import json
from typing import Any

import pytest
from pydantic import ValidationError

from slipway.contracts.container_specs import ContainerSpec, MountSpec
from slipway.contracts.job_kinds import (
    KINDS,
    REQUESTED,
    Args,
    ConfigureArgs,
    JobKind,
    NoArgs,
    SnapshotNameArgs,
)
from slipway.contracts.jobs import Job, RequestJob, RunJob, Target

TARGET = Target(container="c", cluster="k", cluster_name="home", node="pve1", vmid=101, hostname="web-1")
SPEC = ContainerSpec(hostname="web-1")
BAG = dict.fromkeys(name for spec in KINDS.values() for name in spec.args.model_fields)
"""The arguments of all kinds, each null: what an older build sent beside the ones that were set."""


def stored(kind: JobKind, **args: Any) -> str:
    """Return a run command as an older build has stored it."""
    order = {"job": "j", "kind": kind, "target": TARGET.model_dump(), "spec": SPEC.model_dump(mode="json")}
    return json.dumps({**order, "args": {**BAG, **args}})


def test_every_kind_has_a_row() -> None:
    """A kind without one could not be read from a message."""
    assert set(KINDS) == set(JobKind)
    assert all(REQUESTED[verb].kind == f"container.{verb}" for verb in REQUESTED)


@pytest.mark.parametrize(
    ("kind", "args", "expected"),
    [
        (JobKind.START, {}, NoArgs()),
        (JobKind.ROLLBACK, {"snapshot": "before"}, SnapshotNameArgs(snapshot="before")),
        (
            JobKind.CONFIGURE,
            {"onboot": False, "mounts": [{"storage": "/srv/a", "path": "/a"}]},
            ConfigureArgs(onboot=False, mounts=(MountSpec(storage="/srv/a", path="/a"),)),
        ),
    ],
)
def test_a_command_of_an_older_build_is_read(kind: JobKind, args: dict[str, Any], expected: Args) -> None:
    """Its arguments are those of all kinds, with nulls; the kind beside them says which count."""
    command = RunJob.model_validate_json(stored(kind, **args))

    assert command.args == expected
    assert RunJob.model_validate_json(command.model_dump_json()) == command


def test_arguments_of_a_batch_are_those_of_its_items() -> None:
    """The kind of a batch itself takes none."""
    row = {"id": "b", "kind": "batch", "items_kind": "container.rollback", "args": {"snapshot": "before"}}
    job = Job.model_validate({**row, "state": "queued", "actor": "a", "created_at": "2026-01-01T00:00:00Z"})

    assert job.args == SnapshotNameArgs(snapshot="before")


@pytest.mark.parametrize("args", [{}, {"snapshot": None}, {"snapshot": ["a"]}, "before"])
def test_a_request_without_what_its_kind_needs_is_invalid(args: Any) -> None:
    """Before anything looks at it."""
    with pytest.raises(ValidationError):
        RequestJob.model_validate({"container": "c", "kind": "container.rollback", "args": args})


def test_arguments_of_another_kind_are_a_bug() -> None:
    """A step asks for those of its own kind only."""
    request = RequestJob(container="c", kind=JobKind.START)

    with pytest.raises(TypeError, match="NoArgs, not ConfigureArgs"):
        request.args_as(ConfigureArgs)


@pytest.mark.parametrize("spec", [spec for spec in KINDS.values() if spec.loss], ids=lambda spec: spec.verb)
def test_a_loss_names_the_container(spec: Any) -> None:
    """Its text can be filled in from the kind's own arguments."""
    values = {name: name for name, field in spec.args.model_fields.items() if field.is_required()}

    (loss,) = spec.loss_of(spec.args(**values), vmid=101, hostname="web-1")

    assert "101 (web-1)" in loss
