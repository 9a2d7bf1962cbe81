"""Room on storages, as the node says it now: what can't be is refused, what may not fit is said.

A thick LVM group allots what was promised: a disk beyond its free space can't be made. Thin storages and
sparse images take it, until what is written fills them; inventory's plans say so.
"""

from collections.abc import Iterable, Iterator, Mapping
from math import ceil

from slipway.contracts.job_kinds import JobKind
from slipway.contracts.problems import FieldError, Rejected, SlipwayError
from slipway.provisioner.steps import backups
from slipway.provisioner.steps.work import Work
from slipway.proxmox.answers import Storage

THICK = frozenset({"lvm"})
_GIB = 1 << 30


class NoRoom(Rejected):
    """A storage that allots all of a disk at once has less than that."""

    code = "storage.no-room"


def lacking(storages: Iterable[Storage], wanted: Mapping[str, float]) -> Iterator[tuple[str, str]]:
    """Name the thick storages that have less free than is wanted of them (GiB), and say so. Pure."""
    for storage in storages:
        size = wanted.get(storage.name, 0)
        if storage.type in THICK and storage.avail is not None and size * _GIB > storage.avail:
            free = f"storage {storage.name} is thick LVM and has {gib(storage.avail)} free"
            yield storage.name, f"{free}: a disk of {size:g} GiB can't be made there"


async def for_growth(work: Work, storage: str, more: float) -> None:
    """Refuse to grow a disk by more (GiB) than its thick storage has."""
    if more <= 0:
        return
    found = await work.cluster.api.storages(work.target.node)
    for _, words in lacking(found, {storage: more}):
        message = f"The disk can't grow by {more:g} GiB: {words}."
        raise NoRoom(message, errors=[FieldError(field="args.disk", message=message)])


async def warnings(work: Work) -> list[str]:
    """Say if a backup may not fit on its storage."""
    if work.command.kind is not JobKind.BACKUP:
        return []
    api, target, name = work.cluster.api, work.target, work.facts("backup.look").get("storage")
    try:
        status = await api.status(target.node, target.vmid)
        found = [each for each in await api.storages(target.node, content=backups.KIND) if each.name == name]
    except SlipwayError:
        # The steps say what is wrong with the host.
        return []
    for storage in found:
        # A container that is stopped does not say how much it has written.
        used = status.disk or status.maxdisk or 0
        if storage.avail is not None and used > storage.avail:
            what = "It has written" if status.disk else "It is stopped, and its disk has up to"
            free = f"storage {storage.name} has {gib(storage.avail)} free"
            return [f"{what} {gib(used)}; {free}. Compressed it may fit."]
    return []


def gib(size: int) -> str:
    """Give bytes in GiB; rounded up, so that what is there is never called nothing."""
    return f"{ceil(size * 10 / _GIB) / 10:g} GiB"
