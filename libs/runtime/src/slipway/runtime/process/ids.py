"""Ids: time-ordered, lower-case, safe as one token of a subject and one segment of a URL.

48 bits of milliseconds and 80 bits of chance in Crockford's base 32, as ULID has it, in lower case. Within
one process ids only ever grow, also within a millisecond and when the clock steps back.
"""

import secrets
import threading
import time

from slipway.contracts.message import Id

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
_LENGTH = 26
_RANDOM_BITS = 80

_lock = threading.Lock()
_last = 0


def new_id() -> Id:
    """Make an id that sorts after every id this process made before."""
    global _last  # noqa: PLW0603 - growing within a process is the promise, so the process has to remember
    with _lock:
        _last = max(_last + 1, time.time_ns() // 1_000_000 << _RANDOM_BITS | secrets.randbits(_RANDOM_BITS))
        number = _last
    return "".join(_ALPHABET[number >> 5 * place & 31] for place in reversed(range(_LENGTH)))
