"""What is left out of a host's answers: counted each time, logged once."""

import json
from dataclasses import dataclass

import pytest

from slipway.runtime.process import logs, metrics
from slipway.runtime.process.unreadable import UnreadableLog


@dataclass(frozen=True)
class LeftOut:
    """As libs/proxmox reports it."""

    endpoint: str = "/cluster/resources"
    value: str | None = "tags"
    found: str = "dict"


def counted() -> float:
    return (
        metrics.REGISTRY.get_sample_value(
            "slipway_proxmox_unreadable_total", {"endpoint": "/cluster/resources"}
        )
        or 0.0
    )


def test_it_is_counted_each_time_and_logged_once(capsys: pytest.CaptureFixture[str]) -> None:
    """A poll meets the same odd value every two seconds."""
    logs.configure("test")
    unreadable, before = UnreadableLog(), counted()

    for value in ("tags", "tags", None, "tags"):
        unreadable.note(LeftOut(value=value))

    names = [json.loads(line)["left_out"] for line in capsys.readouterr().err.splitlines()]
    assert names == ["tags", "a row"]
    assert counted() - before == 4
