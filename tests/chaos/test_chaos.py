"""The short form of `make chaos`: a dozen jobs, the likeliest faults, one seed; everything is compared."""

import asyncio

import pytest
from chaos.faults import SHORT
from chaos.run import Order, chaos, copy_templates

from support.stack import SOON_TAKEN_OVER, running_stack, stack_folder


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_short_run() -> None:
    """Whatever is killed, cut and dropped meanwhile: nothing is lost, doubled, stuck or orphaned."""
    with stack_folder() as data:
        environment = {**copy_templates(data.parent / "lxc"), **SOON_TAKEN_OVER}
        with running_stack("--lab", "--guests", "simulated", data=data, **environment) as stack:
            report = asyncio.run(chaos(stack, Order(seed=1, jobs=12, faults=SHORT, at_once=5)))

    assert list(report.violations) == []
    assert len(report.scene.model.jobs) >= 12
    assert sum(job.cuts for job in report.scene.model.jobs.values()) > 10
