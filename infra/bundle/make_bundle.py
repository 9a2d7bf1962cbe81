"""Makes an archive that installs Slipway without a network: `make_bundle.py FOLDER`, run in a checkout.

It holds the wheels of Slipway and of all that it needs, in the versions of `requirements.lock`, for this
machine's Python and processor; a list of them with their hashes; SHA256SUMS of everything; `install.sh`.

Beside the archive stand `proxmox-install.sh`, which takes it to a Proxmox node, and SHA256SUMS of the two.
With `--sign KEY`, a private key of `ssh-keygen`, that list is signed: `SHA256SUMS.sig`.
"""

import argparse
import hashlib
import platform
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import tomllib
from importlib.metadata import requires
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
PACKAGE = "slipway-standalone"
PIP = "pip==26.3 --hash=sha256:f3b60b20ffaadd4415ed7957212a38ac63fa4c5fa375bd0f4a797777940fad13"
"""Installs the wheels: Debian's Python without `python3-venv` has none."""
SIGNED_FOR = "slipway-bundle"
"""The namespace of the signature: one that was made for anything else is not taken."""


def main(folder: Path, sign_key: Path | None) -> None:
    """Make the archive in a folder, and sign it."""
    version = tomllib.loads((ROOT / "standalone" / "pyproject.toml").read_text())["project"]["version"]
    python = f"cp{sys.version_info.major}{sys.version_info.minor}"
    name = f"slipway-{version}-{python}-{platform.machine()}"
    place = folder / name
    shutil.rmtree(place, ignore_errors=True)
    wheels = place / "wheels"
    wheels.mkdir(parents=True)
    uv = str(Path(sys.executable).with_name("uv"))
    _run(uv, "build", "--quiet", "--all-packages", "--wheel", "--out-dir", str(wheels))
    (wheels / ".gitignore").unlink(missing_ok=True)
    _fetch(wheels)
    (place / "requirements.txt").write_text("".join(_pinned(each) for each in sorted(wheels.glob("*.whl"))))
    shutil.copy(Path(__file__).with_name("install.sh"), place)
    # The link leads to the file that the wheel has: on a node there is nothing to read a wheel.
    shutil.copy(ROOT / "infra/proxmox/make-token.sh", place)
    (place / "python").write_text(f"{sys.version_info.major}.{sys.version_info.minor}\n")
    files = sorted(each for each in place.rglob("*") if each.is_file())
    write_sums(place, files)
    archive = folder / f"{name}.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(place, arcname=name)
    shutil.rmtree(place)
    installer = Path(shutil.copy(ROOT / "infra/proxmox/install.sh", folder / "proxmox-install.sh"))
    sums = write_sums(folder, [installer, archive])
    print(f"{archive} ({archive.stat().st_size >> 20} MiB, {len(files)} files)")
    sign(sums, sign_key)


def sign(sums: Path, key: Path | None) -> None:
    """Sign a list of hashes, and print by which key others can check it."""
    signature = sums.with_name(f"{sums.name}.sig")
    signature.unlink(missing_ok=True)
    if key is None:
        print(f"Not signed. Bring this hash of {sums.name} another way than the files: {_sha256(sums)}")
        return
    _run("ssh-keygen", "-q", "-Y", "sign", "-f", str(key), "-n", SIGNED_FOR, str(sums))
    derived = subprocess.run(["ssh-keygen", "-y", "-f", str(key)], check=True, capture_output=True, text=True)  # noqa: S603, S607 - our own words
    print(f"{signature}: signed. Publish the key, and not only where the files are:")
    print(" ".join(derived.stdout.split()[:2]))


def _fetch(wheels: Path) -> None:
    """Fetch what the parts need, in the locked versions and with the locked hashes."""
    needed = _needed(PACKAGE)
    blocks = re.split(r"\n(?=[a-z0-9])", (ROOT / "requirements.lock").read_text().strip())
    wanted = [each for each in blocks if canonicalize_name(each.partition("==")[0]) in needed]
    wanted.append(PIP)
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as lock:
        lock.write("\n".join(wanted))
        lock.flush()
        # `wheel`, not `download`: a few are handed out as sources only.
        options = ("--quiet", "--disable-pip-version-check", "--no-deps", "--require-hashes")
        _run(sys.executable, "-m", "pip", "wheel", *options, "--wheel-dir", str(wheels), "-r", lock.name)


def _needed(package: str) -> set[str]:
    """Return what a package needs here, however far, as it is installed in this environment."""
    open_ones, found = [Requirement(package)], set[str]()
    seen = set[str]()
    while open_ones:
        one = open_ones.pop()
        if str(one) in seen:
            continue
        seen.add(str(one))
        found.add(canonicalize_name(one.name))
        extras = {"", *one.extras}
        open_ones += [
            each
            for each in map(Requirement, requires(one.name) or ())
            if each.marker is None or any(each.marker.evaluate({"extra": extra}) for extra in extras)
        ]
    return found


def _pinned(wheel: Path) -> str:
    name, version, *_ = wheel.name.split("-")
    return f"{name.replace('_', '-').lower()}=={version} --hash=sha256:{_sha256(wheel)}\n"


def write_sums(folder: Path, files: list[Path]) -> Path:
    """Write the hashes of files in the form of `sha256sum`."""
    path = folder / "SHA256SUMS"
    path.write_text("".join(f"{_sha256(each)}  {each.relative_to(folder)}\n" for each in files))
    return path


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _run(*command: str) -> None:
    subprocess.run(command, check=True, cwd=ROOT)  # noqa: S603 - our own words


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--sign", metavar="KEY", type=Path)
    given = parser.parse_args()
    main(given.folder.absolute(), given.sign and given.sign.absolute())
