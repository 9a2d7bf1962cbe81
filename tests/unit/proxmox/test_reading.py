"""Odd rows and values: each costs no more than itself, and is noted. Every case is a file."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from slipway.proxmox import answers, interfaces, storage_answers, task_answers
from slipway.proxmox.errors import ProxmoxFailed
from slipway.proxmox.reading import Reader, Unreadable, endpoint_of, ignore_unreadable, read_resources
from slipway.proxmox.wire import Reply

CASES = Path(__file__).parent / "cases" / "odd"
KINDS: Mapping[str, Any] = vars(task_answers) | vars(interfaces) | vars(storage_answers) | vars(answers)


@pytest.mark.parametrize("file", sorted(CASES.glob("*.json")), ids=lambda file: file.stem)
def test_an_odd_answer_is_read_as_far_as_it_can_be(file: Path) -> None:
    """What can't be read costs that row or that value; it is noted once for each."""
    case = json.loads(file.read_text())
    noted: list[Unreadable] = []

    read, lost = _read(Reader(noted.append), case)

    assert len(read) == len(case["expected"])
    for row, expected in zip(read, case["expected"], strict=True):
        assert {name: _plain(getattr(row, name)) for name in expected} == expected
    assert lost == case.get("lost", 0)
    assert sorted(([each.endpoint, each.value] for each in noted), key=str) == sorted(
        case["left_out"], key=str
    )


@pytest.mark.parametrize("data", [{}, "text", 7])
def test_what_is_no_list_is_an_error(data: object) -> None:
    """It says what was asked."""
    reader = Reader(ignore_unreadable)

    with pytest.raises(ProxmoxFailed, match="/nodes/pve1/storage"):
        reader.every(answers.Storage, Reply(data=data, path="/nodes/pve1/storage"))


@pytest.mark.parametrize("data", [None, [], {"digest": None}, {"hostname": "web"}])
def test_one_thing_without_its_essentials_is_an_error(data: object) -> None:
    """A config without a digest could be overwritten by mistake."""
    reader = Reader(ignore_unreadable)

    with pytest.raises(ProxmoxFailed, match="/nodes/pve1/lxc/100/config"):
        reader.one(answers.ContainerConfig, Reply(data=data, path="/nodes/pve1/lxc/100/config"))


def test_a_note_does_not_repeat_the_value() -> None:
    """It may be a secret."""
    noted: list[Unreadable] = []

    Reader(noted.append).one(
        answers.ContainerStatus,
        Reply(data={"vmid": 1, "status": "running", "uptime": "geheim", "disk": {"geheim": 1}}),
    )

    assert {each.value for each in noted} == {"uptime", "disk"}
    assert "geheim" not in repr(noted)


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/cluster/resources", "/cluster/resources"),
        ("/nodes", "/nodes"),
        ("/nodes/pve1/lxc/100/snapshot/a/rollback", "/nodes/*/lxc/*/snapshot/*/rollback"),
        ("/nodes/pve1/storage/local/content", "/nodes/*/storage/*/content"),
        ("/nodes/pve1/tasks/UPID:pve1:x/log", "/nodes/*/tasks/*/log"),
    ],
)
def test_an_endpoint_has_no_names_of_a_host(path: str, expected: str) -> None:
    """It is a label: its values must not grow with the cluster."""
    assert endpoint_of(path) == expected


def _read(reader: Reader, case: Mapping[str, Any]) -> tuple[tuple[Any, ...], int]:
    reply = Reply(data=case["data"], path=case["path"])
    if case["model"] == "Resources":
        resources = read_resources(reader, reply)
        return resources.guests, resources.lost
    rows: tuple[tuple[Any, ...], int] = reader.rows(KINDS[case["model"]], reply)
    return rows


def _plain(value: Any) -> Any:
    return [str(each) for each in value] if isinstance(value, tuple) else value
