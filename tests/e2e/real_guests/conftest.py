"""One Slipway on real containers for all tests of this folder; it ends with the last of them."""

from collections.abc import Iterator

import pytest
from chaos.run import copy_templates

from support import alpine
from support.pve_schema import check_record
from support.real_guests import need_real_guests
from support.stack import RunningStack, running_stack, stack_folder


@pytest.fixture(scope="package")
def real_stack() -> Iterator[RunningStack]:
    """`slipway up --lab` on real containers, with Alpine's archive where that can be had.

    At the end, each request to Proxmox fits its schema.
    """
    need_real_guests()
    archive = alpine.archive()
    with stack_folder() as data:
        if archive is not None:
            alpine.offer(archive, data / "lab")
        templates = copy_templates(data.parent / "lxc")
        with running_stack("--lab", "--guests", "lxc", data=data, **templates) as running:
            yield running
        assert check_record(running.record) == []
