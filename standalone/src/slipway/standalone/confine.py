"""Become an ordinary user, tied to the supervisor: what every process of `up` does first.

Where that user can't reach our programs (a clone or a Python below somebody's private home), the closed
folder is covered, in this process's own view of the file system only, by an empty one that shows nothing but
what is needed. The paths stay the same; nothing is copied, and nobody's permissions change.
"""

import ctypes
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

_CLONE_NEWNS = 0x00020000
_MS_NOSUID, _MS_NODEV, _MS_BIND, _MS_REC, _MS_PRIVATE = 2, 4, 4096, 16384, 1 << 18
_PR_SET_PDEATHSIG, _PR_SET_KEEPCAPS, _PR_CAP_AMBIENT, _PR_CAP_AMBIENT_RAISE = 1, 8, 47, 2
_CAPABILITY_VERSION = 0x20080522
_LOST_PARENT = 75


def confine(orders: Mapping[str, Any]) -> None:
    """Confine this process for good.

    Args:
        orders: `parent` (pid), `signal` (sent to us when it dies), `uid` and `gid` (None: stay who we are),
            `show` (closed folder to the paths below it that stay visible), `keep` (number of the one
            capability that the process keeps, or None).
    """
    libc = ctypes.CDLL(None, use_errno=True)
    if orders["show"]:
        _cover(libc, orders["show"])
    if orders["uid"] is not None:
        libc.prctl(_PR_SET_KEEPCAPS, int(orders["keep"] is not None), 0, 0, 0)
        os.setgroups([])
        os.setresgid(orders["gid"], orders["gid"], orders["gid"])
        os.setresuid(orders["uid"], orders["uid"], orders["uid"])
    if orders["keep"] is not None:
        _keep(libc, orders["keep"])
    # After the change of user, which would clear it.
    die_with(orders["parent"], orders["signal"])


def die_with(parent: int, number: int) -> None:
    """Get a signal when our parent dies; end now if it is dead already."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(number), 0, 0, 0)
    if os.getppid() != parent:
        sys.exit(_LOST_PARENT)


def _keep(libc: ctypes.CDLL, capability: int) -> None:
    """Keep one capability, also in the program that is run, and drop the others."""
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION, 0)
    bit = 1 << capability
    sets = (ctypes.c_uint32 * 6)(bit, bit, bit, 0, 0, 0)
    _checked(libc.capset(header, sets), "one capability")
    _checked(libc.prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_RAISE, capability, 0, 0), "one capability")


def _cover(libc: ctypes.CDLL, show: Mapping[str, Sequence[str]]) -> None:
    _checked(libc.unshare(_CLONE_NEWNS), "a view of the file system of one's own")
    _mount(libc, "", "/", flags=_MS_REC | _MS_PRIVATE)
    for closed, needed in show.items():
        descriptors = {path: os.open(path, os.O_PATH) for path in needed}
        flags = _MS_NOSUID | _MS_NODEV
        _mount(libc, "slipway", closed, flags=flags, kind="tmpfs", options="mode=755,size=1m")
        for path, descriptor in descriptors.items():
            Path(path).mkdir(parents=True, exist_ok=True)
            _mount(libc, f"/proc/self/fd/{descriptor}", path, flags=_MS_BIND | _MS_REC)
            os.close(descriptor)


def _mount(
    libc: ctypes.CDLL, source: str, target: str, *, flags: int, kind: str = "", options: str = ""
) -> None:
    where, what, filesystem, data = (text.encode() or None for text in (source, target, kind, options))
    _checked(libc.mount(where, what, filesystem, ctypes.c_ulong(flags), data), target)


def _checked(result: int, what: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        sys.exit(f"slipway: can't prepare {what} for an ordinary user: {os.strerror(number)}")
