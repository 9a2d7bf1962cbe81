"""The record of every request to Proxmox, for tests that check it against the official schema.

One JSON object a line, appended with one write to a file opened with O_APPEND, so that any number of threads
and processes may share the file. Secrets are masked before they are written.
"""

import json
import os
from collections.abc import Mapping
from pathlib import Path

MASK = "********"
_SECRET_WORDS = ("password", "secret", "token", "ticket", "private")


def append(
    file: Path, *, method: str, path: str, params: Mapping[str, object], status: int | None, ms: float
) -> None:
    """Append one request; the status is None when no answer came."""
    entry = {"method": method, "path": path, "params": masked(params), "status": status, "ms": round(ms, 1)}
    line = json.dumps(entry, separators=(",", ":"), default=str).encode() + b"\n"
    descriptor = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        os.write(descriptor, line)
    finally:
        os.close(descriptor)


def masked(params: Mapping[str, object]) -> dict[str, object]:
    """Return the parameters with every secret replaced."""
    return {name: MASK if _is_secret(name, value) else value for name, value in params.items()}


def _is_secret(name: str, value: object) -> bool:
    lowered = name.lower()
    return any(word in lowered for word in _SECRET_WORDS) or "PRIVATE KEY" in str(value)
