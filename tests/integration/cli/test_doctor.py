"""`slipway doctor` while Slipway does not run: what can be looked at is, and the rest is named."""

import json
import os
import socket
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

import pytest

from slipway.standalone.doctor.findings import State, run_checks
from slipway.standalone.doctor.installation import Installation
from slipway.standalone.doctor.servers import bus
from slipway.standalone.embedded.ports import HOST, free_port
from slipway.standalone.folders import DataFolder
from slipway.standalone.keys import make_keys


@pytest.fixture
async def folder(tmp_path: Path) -> DataFolder:
    """A data folder of a Slipway that was stopped."""
    folder = DataFolder(tmp_path / "data")
    folder.take().close()
    await make_keys(data=str(folder.path))
    return folder


def doctor(folder: DataFolder, port: int, *options: str) -> tuple[int, dict[str, Any]]:
    """Run it; return the exit status, and the findings by check."""
    command = (sys.executable, "-m", "slipway.cli", "doctor", "-o", "json")
    where = ("--data", str(folder.path), "--port", str(port))
    done = subprocess.run([*command, *where, *options], capture_output=True, text=True, check=False)
    return done.returncode, {each["check"]: each for each in json.loads(done.stdout)["checks"]}


async def test_what_can_be_looked_at_without_servers(folder: DataFolder) -> None:
    """Files and the port are; the others say that the servers do not run, and nothing is changed."""
    before = {path: path.read_bytes() for path in folder.path.rglob("*") if path.is_file()}

    status, found = doctor(folder, free_port())

    states = {name: each["state"] for name, each in found.items()}
    assert status == 1
    assert states["services"] == "failed"
    assert "slipway up" in found["services"]["remedy"]
    good = {name for name, state in states.items() if state == "ok"}
    assert good >= {"data-folder", "secret-files", "key-ring", "versions", "port"}
    assert {states[name] for name in ("postgres", "migrations", "bus", "clusters")} == {"not checked"}
    assert found["bus"]["message"] == "the bus does not run"
    assert {path: path.read_bytes() for path in folder.path.rglob("*") if path.is_file()} == before


async def test_what_is_wrong_is_named_with_its_remedy(folder: DataFolder) -> None:
    """A secret that others read, a key ring that is none, a half restore, and a port that another has."""
    folder.bootstrap_token.chmod(0o644)
    folder.key_ring.write_text("{}")
    folder.unfinished.touch()
    with socket.socket() as other:
        other.bind((HOST, 0))
        other.listen()
        status, found = doctor(folder, other.getsockname()[1])

    assert status == 1
    assert found["secret-files"]["remedy"] == f"chmod go= {folder.bootstrap_token}"
    assert "restore the backup again" in found["data-folder"]["remedy"]
    assert found["key-ring"]["state"] == "failed"
    assert "backup" in found["key-ring"]["remedy"]
    assert "another program listens" in found["port"]["message"]


async def test_the_archive_of_a_broken_installation(folder: DataFolder, tmp_path: Path) -> None:
    """That is when one needs it: a key ring that can't be read does not keep it from being written."""
    folder.key_ring.write_text("{}")
    token = folder.bootstrap_token.read_text().strip()
    (folder.log / "slipway.log").write_text(f"a line with {token}\n")
    bundle = tmp_path / "bundle.tar.gz"

    status, _ = doctor(folder, free_port(), "--bundle", str(bundle))
    with tarfile.open(bundle) as archive:
        log = archive.extractfile("slipway-doctor/logs/slipway.log")
        assert log is not None
        text = log.read().decode()

    assert status == 1
    assert text == "a line with [redacted]\n"


def test_no_installation_at_all(tmp_path: Path) -> None:
    """Nothing is made; no archive is written of it."""
    nowhere, bundle = tmp_path / "nowhere", tmp_path / "bundle.tar.gz"
    command = (sys.executable, "-m", "slipway.cli", "doctor", "--data", nowhere, "--bundle", bundle)
    done = subprocess.run(command, capture_output=True, text=True, check=False)

    assert done.returncode == 1
    assert f"there is no folder {nowhere}" in done.stdout
    assert f"slipway: {bundle} is not written: there is no data folder" in done.stderr
    assert not nowhere.exists()
    assert not bundle.exists()


async def test_a_bus_that_stands_still(folder: DataFolder) -> None:
    """It takes a connection and says nothing: the check ends by itself, with what to do."""
    (folder.path / "nats").mkdir()
    folder.record_pids({"nats": os.getpid()})
    with socket.socket() as silent:
        silent.bind((HOST, 0))
        silent.listen()
        where = f'listen: "{HOST}:{silent.getsockname()[1]}"\n'
        (folder.path / "nats" / "nats.conf").write_text(where)
        [found] = await run_checks({"bus": bus}, Installation(folder=folder, port=0))

    assert found.finding.state is State.FAILED
    assert "The bus" in found.finding.message
    assert "restart Slipway" in found.finding.remedy


async def test_a_link_to_a_secret_is_as_closed_as_the_file(folder: DataFolder, tmp_path: Path) -> None:
    """Every link has the mode 777: it says nothing, and can't be changed."""
    elsewhere = folder.bootstrap_token.rename(tmp_path / "token")
    folder.bootstrap_token.symlink_to(elsewhere)

    _, found = doctor(folder, free_port())

    assert found["secret-files"]["state"] == "ok", found["secret-files"]


@pytest.mark.root
async def test_a_secret_of_another_user(folder: DataFolder) -> None:
    """Whoever runs `slipway up` could not read it: the remedy is to give it back, not to restore it."""
    for path in (folder.path, *folder.path.rglob("*")):
        os.chown(path, 65534, 65534)
    os.chown(folder.key_ring, 0, 0)

    _, found = doctor(folder, free_port())

    assert found["secret-files"]["message"] == f"{folder.key_ring} belongs to user 0"
    assert found["secret-files"]["remedy"] == f"chown 65534 {folder.key_ring}"
