"""`pct push` and `pct pull`: one file between the pretend host and a guest.

Both end with 0 whatever happens (PVE 9.2, observed: these commands have no exit code of their own); what went
wrong stands on standard error only. The host's files are those in the lab's `host` folder.
"""

from collections.abc import Sequence
from pathlib import Path

from slipway.lab.guests.attached import Process
from slipway.lab.host.machine import Machine
from slipway.lab.ssh.streams import Streams

_WRITE = """
cat > "$1" || exit 1
if [ -n "$2" ]; then chmod "$2" "$1" || exit 1; fi
if [ -n "$3$4" ]; then chown "$3${4:+:$4}" "$1" || exit 1; fi
"""


def host_path(machine: Machine, path: str) -> Path:
    """Find a path of the pretend host below the lab's `host` folder."""
    root = (machine.folder / "host").resolve()
    resolved = (root / path.lstrip("/")).resolve()
    return resolved if resolved.is_relative_to(root) else root / "outside"


async def push(machine: Machine, vmid: int, arguments: Sequence[str], streams: Streams) -> int:
    """Copy a file into a guest."""
    source, target, *rest = [*arguments, "", ""]
    options = dict(zip(rest[::2], rest[1::2], strict=False))
    path = host_path(machine, source)
    if not path.is_file():
        await streams.err(f"failed to open {source} for reading: No such file or directory\n".encode())
        return 0
    target = target if target.startswith("/") else f"/{target}"
    owner = [options.get(name, "") for name in ("--perms", "--user", "--group")]
    process = await machine.guests.execute(vmid, ["sh", "-c", _WRITE, "push", target, *owner])
    with path.open("rb") as file:
        while chunk := file.read(1 << 16):
            await process.write(chunk)
    await process.close_stdin()
    _, complaints, code = await _drain(process)
    if code != 0:
        reason = complaints.rpartition(": ")[2].strip() or "unknown error"
        await streams.err(f"failed to create file: {target}: {reason}\n".encode())
    return 0


async def pull(machine: Machine, vmid: int, arguments: Sequence[str], streams: Streams) -> int:
    """Copy a file out of a guest."""
    source, target, *_ = [*arguments, "", ""]
    process = await machine.guests.execute(vmid, ["cat", source])
    await process.close_stdin()
    content, _, code = await _drain(process)
    if code != 0:
        await streams.err(f"failed to open {source}: No such file or directory\n".encode())
        return 0
    path = host_path(machine, target)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return 0


async def _drain(process: Process) -> tuple[bytes, str, int]:
    output = b"".join([chunk async for chunk in process.stdout()])
    complaints = b"".join([chunk async for chunk in process.stderr()])
    return output, complaints.decode(errors="replace"), await process.wait()
