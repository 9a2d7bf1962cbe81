"""An older build of Slipway out of git's history, ready to run, and a lab of its own that outlives both.

The old sources are unpacked into a folder with a virtual environment of their own. What others published is
taken from the environment of the tests where the old lock asks for nothing else, so that it costs a second.
"""

import asyncio
import io
import json
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from support.waiting import until

ROOT = Path(__file__).parents[2]
LAB_SECONDS = 60.0


def older_build(commit: str, folder: Path) -> Path:
    """Unpack a commit into a folder; return its Python. The test is skipped if the history lacks it."""
    packed = subprocess.run(["git", "-C", ROOT, "archive", commit], capture_output=True, check=False)
    if packed.returncode != 0:
        pytest.skip(f"git has no commit {commit[:7]} here (a shallow clone?): {packed.stderr.decode()}")
    with tarfile.open(fileobj=io.BytesIO(packed.stdout)) as archive:
        archive.extractall(folder, filter="data")
    environment = folder / ".venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", environment], check=True)
    python = environment / "bin" / "python"
    paths = [str(each) for each in sorted(folder.glob("**/src")) if (each / "slipway").is_dir()]
    if _pins(folder) <= _pins(ROOT):
        paths.append(sysconfig.get_path("purelib"))
        server = Path(sysconfig.get_path("scripts")) / "nats-server"
        (environment / "bin" / server.name).symlink_to(server)
    else:
        uv = (sys.executable, "-m", "uv", "pip", "install", "--quiet", "--python", python)
        subprocess.run([*uv, "--require-hashes", "-r", folder / "requirements.lock"], check=True)
    site = next((environment / "lib").glob("python*/site-packages"))
    (site / "older_build.pth").write_text("\n".join(paths) + "\n")
    return python


def _pins(folder: Path) -> set[str]:
    """Return what a lock names, with versions."""
    lock = (folder / "requirements.lock").read_text()
    return set(re.findall(r"^[\w.\[\]-]+==[^ ;\\]+", lock, flags=re.MULTILINE))


@contextmanager
def lab_beside(folder: Path) -> Iterator[None]:
    """Run this build's lab in `folder/lab`, which no stack starts or ends: a node is no part of a build."""
    command = (
        sys.executable,
        "-m",
        "slipway.lab",
        "serve",
        "--data",
        folder / "lab",
        "--guests",
        "simulated",
    )
    with (folder / "lab.log").open("ab") as log:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    try:
        asyncio.run(until((folder / "lab" / "lab.json").exists, within_seconds=LAB_SECONDS))
        yield
    finally:
        process.terminate()
        process.wait()


def cluster_of(folder: Path) -> dict[str, Any]:
    """Describe the lab in `folder/lab` as a cluster is added."""
    lab = json.loads((folder / "lab" / "lab.json").read_text())
    return {
        "name": "lab",
        "endpoint": lab["endpoint"],
        "token_id": lab["token_id"],
        "token_secret": Path(lab["token_secret_file"]).read_text().strip(),
        "tls_fingerprint": lab["fingerprint"],
        "ssh": {"private_key": Path(lab["ssh_private_key_file"]).read_text(), "nodes": lab["nodes"]},
    }


def later_build(folder: Path, migration: str) -> Path:
    """Make a build after this one in a folder: inventory has one more migration; return its Python."""
    shutil.copytree(ROOT / "services" / "inventory" / "src", folder / "inventory")
    migrations = folder / "inventory" / "slipway" / "inventory" / "migrations"
    newest = max(each.name for each in migrations.glob("[0-9]*.py")).partition("_")[0]
    names = f'revision, down_revision = "9001", "{newest}"'
    text = (
        f'"""One more."""\n\nfrom alembic import op\n\n{names}\n\n\ndef upgrade() -> None:\n    {migration}\n'
    )
    (migrations / "9001_more.py").write_text(text)
    environment = folder / ".venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", environment], check=True)
    site = next((environment / "lib").glob("python*/site-packages"))
    others = [str(each) for each in sorted(ROOT.glob("**/src")) if (each / "slipway").is_dir()]
    paths = [str(folder / "inventory"), *others, sysconfig.get_path("purelib")]
    (site / "later_build.pth").write_text("\n".join(paths) + "\n")
    server = Path(sysconfig.get_path("scripts")) / "nats-server"
    (environment / "bin" / server.name).symlink_to(server)
    return environment / "bin" / "python"
