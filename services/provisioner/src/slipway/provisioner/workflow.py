"""Jobs on containers, as the run engine is given them: preparation, pipelines, failure policy, outcome."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from slipway.contracts.job_kinds import JobKind
from slipway.provisioner import pipelines
from slipway.provisioner.engine.workflow import Workflow
from slipway.provisioner.failure_policy import ContainerFailurePolicy
from slipway.provisioner.host import readback
from slipway.provisioner.host.locks import LockFacts
from slipway.provisioner.host.ownership import ClearingFacts
from slipway.provisioner.host.tasks import TaskFacts
from slipway.provisioner.host.work import Work
from slipway.provisioner.preparation import Preparation
from slipway.provisioner.steps.sync import SyncFacts
from slipway.proxmox.errors import CommandTimedOut, RunLost, TaskTimedOut

TRANSIENT_FACTS = frozenset(
    name for topic in (TaskFacts, ClearingFacts, LockFacts, SyncFacts) for name in topic.model_fields
)
"""Facts about what a step has under way."""


def container_workflow(preparation: Preparation, lock_wait: timedelta) -> Workflow[Work]:
    """Return the workflow of jobs on containers."""
    return Workflow(
        ask=preparation.ask,
        first=pipelines.first,
        plan=pipelines.plan,
        failure_policy=ContainerFailurePolicy(lock_wait),
        read_outcome=read_outcome,
        release=Work.release,
        leaves_container=leaves_container,
        deadline_errors=(TaskTimedOut, CommandTimedOut, RunLost),
        transient_facts=TRANSIENT_FACTS,
    )


def leaves_container(work: Work) -> bool:
    """Return whether a run that succeeded leaves a container on the host."""
    return work.command.kind.has_container and work.command.kind is not JobKind.DELETE


async def read_outcome(work: Work) -> Mapping[str, Any]:
    """Return what the record stores of the job's container at the end; nothing if it has none."""
    return await readback.changes(work) if work.command.kind.has_container else {}
