"""Volume groups without a thin pool: a disk is allotted whole, and what is not free is refused."""

from slipway.lab.problems import Refused

_EXTENT = 4 << 20


def is_thick(kind: str) -> bool:
    """Return whether a type of storage allots its disks whole."""
    return kind == "lvm"


def check(kind: str, free_bytes: int, volid: str, size_kib: int, has_kib: int | None = None) -> None:
    """Refuse a new disk, or a larger one, that a group has no room for."""
    free, needed = free_bytes // _EXTENT, -(-(size_kib - (has_kib or 0)) * 1024 // _EXTENT)
    if not is_thick(kind) or needed <= free:
        return
    name = volid.partition(":")[2]
    if has_kib is None:
        reason = f'Volume group "pve" has insufficient free space ({free} extents): {needed} required.'
        raise Refused(f"lvcreate 'pve/{name}' error:   {reason}")
    reason = f"Insufficient free space: {needed} extents needed, but only {free} available"
    raise Refused(f"command '/sbin/lvextend -L {size_kib}k /dev/pve/{name}' failed: exit code 5: {reason}")
