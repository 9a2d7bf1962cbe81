"""The lab against a real node: what was recorded there is played here."""

import dataclasses
from pathlib import Path

import pytest

from slipway.lab.access.actors import SERVICE_ACL
from support.lab import FAST, api_client, running_lab
from support.pve_first_recording import FirstRecording, download, prepare
from support.pve_reference import reference
from support.pve_replay import Player, is_played, open_client, read
from support.pve_second_recording import SecondRecording

RACED = "race 200"
FIRST_AT_LEAST, SECOND_AT_LEAST = 350, 120
TIMINGS = dataclasses.replace(FAST, config_lock_wait=3.5, create_check=0.25)
"""The check is long enough for two requests at once to meet in it."""


@pytest.mark.slow
async def test_lab_answers_like_the_recorded_node(tmp_path: Path) -> None:
    """Status, reason phrase, error texts and keys are the recorded ones, in the recorded order of events."""
    acl: dict[str, frozenset[str]] = {}
    recording = FirstRecording(acl)
    exchanges = [one for one in read(reference("recordings-9.2.11.ndjson")) if is_played(one, recording)]
    raced = [one for one in exchanges if one.label == RACED]
    differing: list[str] = []

    async with running_lab(tmp_path, name="pve1", service_acl=acl, timings=TIMINGS) as lab:
        async with api_client(lab, as_root=True) as client:
            await prepare(lab, client)
        async with open_client(lab) as client:
            player = Player(lab, recording, client)
            for exchange in exchanges:
                if exchange in raced[:1]:
                    differing += await player.race(raced)
                elif exchange not in raced:
                    differing += await player.play(exchange)

    assert differing == [], "\n".join(differing)
    assert len(exchanges) >= FIRST_AT_LEAST


@pytest.mark.slow
async def test_lab_keeps_configs_and_backups_like_the_recorded_node(tmp_path: Path) -> None:
    """The same for config, pending changes, resizes, backups, restores and creations by a token."""
    recording = SecondRecording()
    exchanges = [one for one in read(reference("recordings-9.2.11-2.ndjson")) if is_played(one, recording)]
    differing: list[str] = []

    async with running_lab(tmp_path, name="pve1", service_acl=dict(SERVICE_ACL), timings=FAST) as lab:
        async with api_client(lab, as_root=True) as client:
            await download(client)
        async with open_client(lab) as client:
            player = Player(lab, recording, client)
            for exchange in exchanges:
                differing += await player.play(exchange)

    assert differing == [], "\n".join(differing)
    assert len(exchanges) >= SECOND_AT_LEAST
