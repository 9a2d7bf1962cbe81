"""Some events of a job's story as one piece of bytes: compressed JSON rows of sequence, subject, payload."""

import json
import zlib
from collections.abc import Iterable
from dataclasses import dataclass

_LEVEL = 6
_ERRORS = "surrogateescape"


@dataclass(frozen=True, slots=True)
class Told:
    """One event of a story."""

    sequence: int
    """Its place in EVENTS, which is what a viewer resumes by."""
    subject: str
    payload: bytes


def pack(events: Iterable[Told]) -> bytes:
    """Put events together; what is not UTF-8 in them survives too."""
    rows = [[each.sequence, each.subject, each.payload.decode(errors=_ERRORS)] for each in events]
    return zlib.compress(json.dumps(rows).encode(), _LEVEL)


def unpack(packed: bytes) -> list[Told]:
    """Take them apart again, byte for byte as they were."""
    return [
        Told(sequence, subject, payload.encode(errors=_ERRORS))
        for sequence, subject, payload in json.loads(zlib.decompress(packed))
    ]
