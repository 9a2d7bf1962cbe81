"""Free space on thick storages, as the node reports it now: an impossible disk is refused.

A thick LVM group allots a disk at once: one beyond its free space can't be made. Thin storages and sparse
images take it, until written data fills them; inventory's plans warn of that.
"""

from collections.abc import Iterable, Iterator, Mapping
from math import ceil

from slipway.contracts.problems import FieldError, Rejected
from slipway.provisioner.host.work import Work
from slipway.proxmox.answers import Storage

THICK = frozenset({"lvm"})
_GIB = 1 << 30


class NoRoom(Rejected):
    """A storage that allots all of a disk at once has less than that."""

    code = "storage.no-room"


def lacking(storages: Iterable[Storage], sizes: Mapping[str, float]) -> Iterator[str]:
    """Yield a message for each thick storage that has less free than the disks need (GiB). Pure."""
    for storage in storages:
        size = sizes.get(storage.name, 0)
        if storage.type in THICK and storage.avail is not None and size * _GIB > storage.avail:
            free = f"storage {storage.name} is thick LVM and has {gib(storage.avail)} free"
            yield f"{free}: a disk of {size:g} GiB can't be made there"


async def for_growth(work: Work, storage: str, more: float) -> None:
    """Refuse to grow a disk by more (GiB) than its thick storage has."""
    if more <= 0:
        return
    storages = await work.cluster.api.storages(work.target.node)
    for problem in lacking(storages, {storage: more}):
        message = f"The disk can't grow by {more:g} GiB: {problem}."
        raise NoRoom(message, errors=[FieldError(field="args.disk", message=message)])


def gib(size: int) -> str:
    """Return bytes in GiB as text, rounded up: a little is never shown as nothing."""
    return f"{ceil(size * 10 / _GIB) / 10:g} GiB"
