"""Installing Slipway on a Proxmox node: who vouches for the files, what is planned, refused and resumed.

The bundle of these tests holds no Slipway, so an installation ends where the program would be installed.
"""

import importlib.util
import json
import shutil
import subprocess
import tarfile
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from slipway.lab.node import Lab
from support.lab import running_lab, ssh_client

ROOT = Path(__file__).parents[2]
HOWTO = ROOT / "docs/howto/install-on-proxmox.md"
BUNDLE = "slipway-0.1.0-cp311-x86_64"


@pytest.fixture
def key(tmp_path: Path) -> Path:
    """A throw-away key."""
    return make_key(tmp_path / "key")


@pytest.fixture
def release(tmp_path: Path, key: Path) -> Path:
    """The signed files of a release, at the place where a lab's root finds them."""
    folder, content = tmp_path / "lab/host/root/release", tmp_path / BUNDLE
    folder.mkdir(parents=True)
    content.mkdir()
    shutil.copy(ROOT / "infra/proxmox/install.sh", folder / "proxmox-install.sh")
    shutil.copy(ROOT / "infra/proxmox/make-token.sh", content)
    shutil.copy(ROOT / "infra/bundle/install.sh", content)
    (content / "python").write_text("3.11\n")
    (content / "SHA256SUMS").write_text(f"{'0' * 64}  install.sh\n")
    with tarfile.open(folder / f"{BUNDLE}.tar.gz", "w:gz") as tar:
        tar.add(content, arcname=BUNDLE)
    sign(folder, key)
    return folder


@pytest.fixture
async def lab(tmp_path: Path, release: Path) -> AsyncIterator[Lab]:
    """A node that has the release."""
    assert release.exists()
    async with running_lab(tmp_path / "lab") as running:
        yield running


def make_key(path: Path) -> Path:
    """Make a pair of keys."""
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(path)], check=True)
    return path


def public(key: Path) -> str:
    """Read the public key."""
    return " ".join(key.with_suffix(".pub").read_text().split()[:2])


def sign(folder: Path, key: Path | None) -> None:
    """Sign a release as `make bundle` does."""
    spec = importlib.util.spec_from_file_location("make_bundle", ROOT / "infra/bundle/make_bundle.py")
    assert spec is not None
    assert spec.loader is not None
    module: Any = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    files = [folder / "proxmox-install.sh", folder / f"{BUNDLE}.tar.gz"]
    module.sign(module.write_sums(folder, files), key)


async def install(lab: Lab, *words: str) -> tuple[int | None, str, str]:
    """Run the script as root of the node; return exit code, output and errors."""
    line = " ".join(f"'{word}'" for word in words)
    async with ssh_client(lab) as root:
        done = await root.run("sh -s", input=f"cd /root/release && sh proxmox-install.sh {line}\n")
    return done.exit_status, str(done.stdout), str(done.stderr)


def append(name: str) -> Callable[[Path], object]:
    """Change a file of a release."""
    return lambda folder: (folder / name).write_bytes((folder / name).read_bytes() + b"\n")


def sign_by_another(folder: Path) -> None:
    """Change a file, and sign it all anew with a key of one's own."""
    append("proxmox-install.sh")(folder)
    sign(folder, make_key(folder.parent / "other"))


def sign_for_something_else(folder: Path) -> None:
    """Use a signature that the same key has made for another purpose."""
    key = folder.parents[3] / "key"
    (folder / "SHA256SUMS.sig").unlink()
    command = ["ssh-keygen", "-q", "-Y", "sign", "-f", str(key), "-n", "git", str(folder / "SHA256SUMS")]
    subprocess.run(command, check=True)


CHANGES: dict[str, Callable[[Path], object]] = {
    "archive": append(f"{BUNDLE}.tar.gz"),
    "script": append("proxmox-install.sh"),
    "sums": append("SHA256SUMS"),
    "another-key": sign_by_another,
    "another-purpose": sign_for_something_else,
    "no-signature": lambda folder: (folder / "SHA256SUMS.sig").unlink(),
}


@pytest.mark.parametrize("change", [None, *CHANGES])
def test_the_documented_line_runs_only_what_the_key_has_signed(
    tmp_path: Path, release: Path, key: Path, change: str | None
) -> None:
    """The script runs (and says that this is no node) if every file is the signer's, else not at all."""
    if change:
        CHANGES[change](release)
    (line,) = (line for line in HOWTO.read_text().splitlines() if line.startswith("    URL="))
    url, signer = "URL=https://example.org/slipway/0.1.0", "KEY='ssh-ed25519 AAAA...'"
    assert url in line
    assert signer in line
    line = line.replace(url, f"URL=file://{release}").replace(signer, f"KEY='{public(key)}'")

    done = subprocess.run(["sh", "-c", line], capture_output=True, text=True, check=False, env={
        "TMPDIR": str(tmp_path), "PATH": "/usr/bin:/bin"})  # fmt: skip

    assert done.returncode != 0
    assert ("install: there is no pct: run this on a node of Proxmox VE" in done.stderr) == (change is None)


@pytest.mark.parametrize("change", ["archive", "another-key", "no-signature"])
async def test_the_script_itself_takes_only_what_the_key_has_signed(
    lab: Lab, release: Path, key: Path, change: str
) -> None:
    """Also for who runs it without having checked anything; nothing is made."""
    CHANGES[change](release)

    code, output, errors = await install(lab, "--key", public(key), "--yes")

    assert (code, output) == (1, "")
    assert "nothing was done" in errors
    assert not (lab.data / "host/etc/slipway-install").exists()


async def test_the_plan_says_all_and_changes_nothing(lab: Lab, key: Path) -> None:
    """Who signed, the template, the container, the access by its id; and without a terminal nobody agrees."""
    code, output, errors = await install(lab, "--key", public(key), "--vmids", "100-199", "--plan")
    unasked = await install(lab, "--key", public(key))

    assert (code, errors) == (0, "")
    for words in (
        f"{BUNDLE}, signed by the key you named",
        "local:vztmpl/debian-12-standard_",
        'container  100, "slipway", unprivileged, 2 cores, 2048 MiB memory, 8 GiB on local',
        "network    vmbr0, DHCP",
        "tier full; an SSH key slipway-",
        "bound to VMIDs 100-199",
    ):
        assert words in output
    assert unasked[0] == 1
    assert "there is no terminal to ask in: give --yes" in unasked[2]
    assert not (lab.data / "host/etc/slipway-install").exists()


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ((), "say who vouches for these files"),
        (("--sums", "0" * 64), "SHA256SUMS has another hash"),
        (("--key", "KEY", "--bridge", "vmbr9"), "--bridge: 'vmbr9' is not there; there is vmbr0"),
        (("--key", "KEY", "--storage", "backup"), "--storage: 'backup' is not there; there is local"),
        (("--key", "KEY", "--vmid", "1"), "--vmid: '1' can't be one"),
        (("--key", "KEY", "--nope", "1"), "there is no option --nope"),
        (("remove",), "this script has made nothing here"),
    ],
)
async def test_what_can_not_be_is_refused(lab: Lab, key: Path, options: tuple[str, ...], reason: str) -> None:
    """In words that name the option and what there is; nothing is made."""
    words = (public(key) if word == "KEY" else word for word in options)

    code, output, errors = await install(lab, *words, "--yes")

    assert (code, output) == (1, "")
    assert reason in errors
    assert not (lab.data / "host/etc/slipway-install").exists()


async def test_a_second_run_goes_on_and_remove_undoes_it(lab: Lab, key: Path) -> None:
    """The first run's container is used again, and the script that lies on the node takes it away."""
    first = await install(lab, "--key", public(key), "--yes")
    second = await install(lab, "--key", public(key), "--yes")
    other = await install(lab, "--key", public(key), "--vmid", "200", "--yes")
    async with ssh_client(lab) as root:
        listed = str((await root.run("pct list")).stdout)
        removed = await root.run("sh -s", input="sh /etc/slipway-install/install.sh remove --yes\n")
        left = str((await root.run("pct list")).stdout)

    assert "install: container 100 made\ninstall: container 100 started\n" in first[1]
    assert "in container 100 this has failed" in first[2]
    assert "install: container 100 is there\n" in second[1]
    assert "Slipway is container 100 here: --vmid can't be 200" in other[2]
    assert [line.split()[0] for line in listed.splitlines()] == ["VMID", "100"]
    assert (removed.exit_status, left) == (0, "")
    assert not (lab.data / "host/etc/slipway-install").exists()


async def test_a_container_of_somebody_else_stays_what_it_is(lab: Lab, key: Path) -> None:
    """Its VMID is refused, also if it has taken the place of the one that was made."""
    await install(lab, "--key", public(key), "--yes")
    async with ssh_client(lab) as root:
        await root.run("pct stop 100 && pct destroy 100")
        made = await root.run(f"pct create 100 {await lab_template(lab)} --rootfs local:1 --hostname theirs")
    code, _, errors = await install(lab, "--key", public(key), "--yes")
    removed = await install(lab, "remove", "--yes")
    taken = await install(lab, "--key", public(key), "--vmid", "100", "--yes")

    assert made.exit_status == 0, made.stderr
    assert (code, removed[0], taken[0]) == (1, 0, 1)
    assert "guest 100 is not Slipway's container" in errors
    assert "guest 100 is not the container that was made here: it is left as it is" in removed[1]
    assert "VMID 100 is taken: give another one with --vmid" in taken[2]
    async with ssh_client(lab) as root:
        assert "theirs" in str((await root.run("pct list")).stdout)


async def lab_template(lab: Lab) -> str:
    """Return the OS template that the lab has."""
    line = "pvesh get /nodes/lab/storage/local/content --content vztmpl --output-format json"
    async with ssh_client(lab) as root:
        done = await root.run("sh -s", input=line)
    return str(json.loads(str(done.stdout))[0]["volid"])
