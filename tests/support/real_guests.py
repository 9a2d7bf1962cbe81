"""What tests on real containers need before they start a stack."""

import asyncio

import pytest

from slipway.lab.guests import choose
from slipway.lab.guests.lxc import template


def need_real_guests() -> None:
    """Skip where real containers can't run; build the lab's template, which takes a new machine minutes."""
    choice = choose.choose("auto")
    if choice.kind != "lxc" or not choice.is_installed:
        pytest.skip(choice.reason)
    asyncio.run(template.ready())
