"""The lab against a real node: what was recorded there is played here."""

import dataclasses
from pathlib import Path

import pytest

from support.lab import FAST, api_client, running_lab
from support.pve_reference import reference
from support.pve_replay import Player, interlude, is_played, open_client, prepare, read

RACED = "race 200"
PLAYED_AT_LEAST = 350
TIMINGS = dataclasses.replace(FAST, config_lock_wait=3.5, create_check=0.25)
"""The check is long enough for two requests at once to meet in it."""


@pytest.mark.slow
async def test_lab_answers_like_the_recorded_node(tmp_path: Path) -> None:
    """Status, reason phrase, error texts and keys are the recorded ones, in the recorded order of events."""
    exchanges = [one for one in read(reference("recordings-9.2.11.ndjson")) if is_played(one)]
    raced = [one for one in exchanges if one.label == RACED]
    acl: dict[str, frozenset[str]] = {}
    differing: list[str] = []

    async with running_lab(tmp_path, name="pve1", service_acl=acl, timings=TIMINGS) as lab:
        async with api_client(lab, as_root=True) as client:
            await prepare(lab, client)
        async with open_client(lab) as client:
            player = Player(lab, acl)
            for exchange in exchanges:
                await interlude(lab, exchange.number)
                if exchange in raced[:1]:
                    differing += await player.race(client, raced)
                elif exchange not in raced:
                    differing += await player.play(client, exchange)

    assert differing == []
    assert len(exchanges) >= PLAYED_AT_LEAST
