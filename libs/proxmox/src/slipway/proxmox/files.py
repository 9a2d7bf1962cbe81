"""Put files into a container.

All files travel as one tar on the standard input of one `pct exec`, and one script in the guest
(`guest/deploy.sh`) checks each by SHA-256 before and after it is placed. Nothing is placed unless everything
arrived. Each file appears at once under its final name, with owner and mode; a second run changes nothing.

Policies: `replace` always writes; `default` writes only where nothing is; `backup` keeps the old file beside
the new one as `name.backup-YYYYMMDD-HHMMSS` (the guest's clock). A file whose content is there already is
left alone, apart from owner and mode.
"""

import hashlib
import io
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Literal

from slipway.contracts.problems import FieldError, Invalid
from slipway.proxmox.errors import DeployFailed
from slipway.proxmox.pct import Pct
from slipway.proxmox.shell import guest_script, statements
from slipway.proxmox.ssh import Completed

TIMEOUT = timedelta(minutes=5)
Policy = Literal["replace", "default", "backup"]
"""What happens to an existing file."""


class Outcome(StrEnum):
    """The result of putting a file."""

    CREATED = "created"
    REPLACED = "replaced"
    UNCHANGED = "unchanged"
    """The same content was there."""
    STORED = "stored"
    """Another file was there, and the policy is `default`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GuestFile:
    """A file as it shall be in the guest."""

    path: str
    """Guest path, absolute; missing folders are made."""
    content: bytes
    policy: Policy = "default"
    mode: int = 0o644
    owner: str | None = None
    """Name or id; None: the owner of the folder."""
    group: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployed:
    """A file that is in its place."""

    path: str
    outcome: Outcome
    backup: str | None = None
    """Guest path of the old file, where it was stored."""


async def deploy(pct: Pct, vmid: int, files: Sequence[GuestFile]) -> tuple[Deployed, ...]:
    """Put files into a running container, in one remote process; return one result for each, in order.

    Raises:
        DeployFailed: One could not be placed; the files before it may be.
        Invalid: A path is not that of a file.
    """
    for number, file in enumerate(files):
        _check(number, file)
    if not files:
        return ()
    done = await pct.script(vmid, guest_script("deploy"), stdin=_archive(files), timeout=TIMEOUT)
    return _results(files, done)


def archive(members: Mapping[str, tuple[bytes, int]]) -> bytes:
    """Return a tar of files with content and mode, owned by root; the last file proves that it is whole."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for name, (content, mode) in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            member.mode = mode
            tar.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def _archive(files: Sequence[GuestFile]) -> bytes:
    members, calls = {}, []
    for number, file in enumerate(files):
        members[str(number)] = (file.content, 0o600)
        digest = hashlib.sha256(file.content).hexdigest()
        owners = (file.owner or "", file.group or "")
        calls.append(("step", str(number), file.policy, f"{file.mode:04o}", *owners, digest, file.path))
    return archive({**members, "plan": (statements(calls), 0o600)})


def _check(number: int, file: GuestFile) -> None:
    parts = file.path.split("/")
    if parts[0] != "" or parts[-1] in {"", ".", ".."} or ".." in parts or "\0" in file.path:
        wrong = FieldError(field=f"files.{number}.path", message="must be an absolute path of a file")
        raise Invalid(f"{file.path!r} is not the path of a file.", errors=[wrong])


def _results(files: Sequence[GuestFile], done: Completed) -> tuple[Deployed, ...]:
    results: list[Deployed] = []
    refusal = ""
    for line in done.stdout.splitlines():
        verb, _, rest = line.partition(" ")
        if verb == "placed":
            number, outcome, *suffix = rest.split(" ")
            path = files[int(number)].path
            backup = f"{path}.{suffix[0]}" if suffix and suffix[0] else None
            results.append(Deployed(path=path, outcome=Outcome(outcome), backup=backup))
        elif verb == "refused":
            refusal = rest
    if refusal or done.exit_code != 0 or len(results) != len(files):
        raise _failure(files, refusal, done)
    return tuple(results)


def _failure(files: Sequence[GuestFile], refusal: str, done: Completed) -> DeployFailed:
    number, _, why = refusal.partition(" ")
    path = files[int(number)].path if number.isdecimal() else ""
    lines = done.stderr.strip().splitlines()
    message = f"{path or 'The files'} could not be put into the container: {why or f'code {done.exit_code}'}"
    return DeployFailed(f"{message} ({lines[-1]})" if lines else message, path=path)
