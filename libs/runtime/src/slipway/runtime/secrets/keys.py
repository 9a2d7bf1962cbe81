"""Key material as files: base64 text, readable by its owner only."""

import base64
import binascii
import os
from pathlib import Path

from slipway.runtime.errors import SecretUnreadable


def encode(raw: bytes) -> str:
    """Write bytes as text."""
    return base64.b64encode(raw).decode()


def decode(text: str) -> bytes:
    """Read bytes from text, or raise `SecretUnreadable`."""
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise SecretUnreadable("This is not what was sealed.") from error


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner can read, whole or not at all."""
    new = path.with_name(f".{path.name}.new")
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)


def associated(*parts: str) -> bytes:
    """Join what a secret is bound to, so that no two different lists look alike."""
    return b"".join(len(part.encode()).to_bytes(4, "big") + part.encode() for part in parts)
