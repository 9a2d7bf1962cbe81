"""Backends of the lab, opened on a data folder of the test's own."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from slipway.lab.guests.choose import Choice, Kind, build, choose
from slipway.lab.guests.protocol import GuestError, Guests


@pytest.fixture(params=["simulated", pytest.param("lxc", marks=pytest.mark.lxc)])
async def guests(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Guests]:
    """Both backends: what is promised by the protocol holds for each."""
    async for opened in _opened(request.param, tmp_path, request):
        yield opened


@pytest.fixture
async def real(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Guests]:
    """Real containers only."""
    async for opened in _opened("lxc", tmp_path, request):
        yield opened


@pytest.fixture
async def simulated(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Guests]:
    """Simulated guests only."""
    async for opened in _opened("simulated", tmp_path, request):
        yield opened


@pytest.fixture
def lxc_is_here(request: pytest.FixtureRequest) -> None:
    """Real containers can run: else the test is skipped, or fails where `-m lxc` asks for it."""
    _possible("lxc", request)


def _possible(kind: Kind, request: pytest.FixtureRequest) -> Choice:
    lacking = pytest.fail if request.config.getoption("-m") == kind else pytest.skip
    try:
        choice = choose(kind)
    except GuestError as error:
        lacking(str(error))
    if not choice.is_installed:
        lacking("lxc is not installed here; `python -m slipway.lab.guests.setup apply` does it")
    return choice


async def _opened(kind: Kind, data: Path, request: pytest.FixtureRequest) -> AsyncIterator[Guests]:
    backend = build(_possible(kind, request), data)
    await backend.open()
    try:
        yield backend
    finally:
        await backend.close()
