"""Makes an archive that installs Slipway without a network: `make_bundle.py FOLDER`, run in a checkout.

It holds the wheels of Slipway and of all that it needs, in the versions of `requirements.lock`, for this
machine's Python and processor; a list of them with their hashes; SHA256SUMS of everything; `install.sh`.
"""

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


def main(folder: Path) -> None:
    """Make the archive in a folder."""
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
    (place / "python").write_text(f"{sys.version_info.major}.{sys.version_info.minor}\n")
    files = sorted(each for each in place.rglob("*") if each.is_file())
    (place / "SHA256SUMS").write_text(
        "".join(f"{_sha256(each)}  {each.relative_to(place)}\n" for each in files)
    )
    archive = folder / f"{name}.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(place, arcname=name)
    (folder / f"{archive.name}.sha256").write_text(f"{_sha256(archive)}  {archive.name}\n")
    print(f"{archive} ({archive.stat().st_size >> 20} MiB, {len(files)} files)")


def _fetch(wheels: Path) -> None:
    """Fetch what the parts need, in the locked versions and with the locked hashes."""
    needed = _needed(PACKAGE)
    blocks = re.split(r"\n(?=[a-z0-9])", (ROOT / "requirements.lock").read_text().strip())
    wanted = [each for each in blocks if canonicalize_name(each.partition("==")[0]) in needed]
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


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _run(*command: str) -> None:
    subprocess.run(command, check=True, cwd=ROOT)  # noqa: S603 - our own words


if __name__ == "__main__":
    main(Path(sys.argv[1]).absolute())
