"""Backends of the lab, opened on a data folder of the test's own."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from slipway.lab.guests.choose import Choice, Kind, build, choose
from slipway.lab.guests.protocol import GuestError, Guests


@pytest.fixture(params=["simulated", pytest.param("lxc", marks=pytest.mark.lxc)])
async def guests(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Guests]:
    """Both backends: what is promised by the protocol holds for each."""
    async for opened in _opened(request.param, tmp_path):
        yield opened


@pytest.fixture
async def real(tmp_path: Path) -> AsyncIterator[Guests]:
    """Real containers only."""
    async for opened in _opened("lxc", tmp_path):
        yield opened


@pytest.fixture
async def simulated(tmp_path: Path) -> AsyncIterator[Guests]:
    """Simulated guests only."""
    async for opened in _opened("simulated", tmp_path):
        yield opened


@pytest.fixture
def lxc_is_here() -> None:
    """Real containers can run here: else the test is skipped."""
    _possible("lxc")


def _possible(kind: Kind) -> Choice:
    try:
        choice = choose(kind)
    except GuestError as error:
        pytest.skip(str(error))
    if not choice.is_installed:
        pytest.skip("lxc is not installed here; `python -m slipway.lab.guests.setup apply` does it")
    return choice


async def _opened(kind: Kind, data: Path) -> AsyncIterator[Guests]:
    backend = build(_possible(kind), data)
    await backend.open()
    try:
        yield backend
    finally:
        await backend.close()
