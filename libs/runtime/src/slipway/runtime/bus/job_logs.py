"""Some events of a job's log as one piece of bytes: compressed JSON rows of sequence, subject, payload."""

import json
import zlib
from collections.abc import Iterable
from dataclasses import dataclass

_LEVEL = 6
_ERRORS = "surrogateescape"


@dataclass(frozen=True, slots=True)
class StoredEvent:
    """One event of a log."""

    sequence: int
    """Its place in EVENTS, which is what a viewer resumes by."""
    subject: str
    payload: bytes


def pack(events: Iterable[StoredEvent]) -> bytes:
    """Pack events; bytes that are not UTF-8 survive too."""
    rows = [[each.sequence, each.subject, each.payload.decode(errors=_ERRORS)] for each in events]
    return zlib.compress(json.dumps(rows).encode(), _LEVEL)


def unpack(packed: bytes) -> list[StoredEvent]:
    """Unpack them, byte for byte as they were."""
    return [
        StoredEvent(sequence, subject, payload.encode(errors=_ERRORS))
        for sequence, subject, payload in json.loads(zlib.decompress(packed))
    ]
