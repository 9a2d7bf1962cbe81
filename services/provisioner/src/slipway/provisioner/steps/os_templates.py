"""Downloading an OS template to a storage of a node, by the node itself."""

import re
from datetime import timedelta

from slipway.contracts.job_kinds import OsTemplateDownloadArgs
from slipway.contracts.problems import Failed, FieldError, Rejected
from slipway.provisioner.engine.step import DONE, NOTHING_TO_DO, Result
from slipway.provisioner.host import tasks
from slipway.provisioner.host.work import Work
from slipway.proxmox.storage_answers import Volume

DEADLINE = timedelta(hours=2)
"""A node may have a slow line; the archives have up to a few hundred MiB."""
REPORTED_EVERY = 10
"""Percent between two reports of progress."""
_PERCENT = re.compile(r"\s(\d{1,3})%")
"""As wget writes it: ` 32768K ........ ........ 53%  112M 1s`."""


class NotDownloadable(Rejected):
    """The node does not offer the OS template, or its storage takes none."""

    code = "os-template.not-downloadable"


class NotThere(Failed):
    """The download ended well, and the archive is not on the storage."""

    code = "os-template.missing"


async def look(work: Work) -> Result:
    """Make sure that the node offers the archive, and that the storage takes it."""
    args, api = work.command.args_as(OsTemplateDownloadArgs), work.cluster.api
    if await _volume(work):
        return Result(message="it is there already")
    storages = await api.storages(args.node, content="vztmpl")
    if args.storage not in {each.name for each in storages if each.active}:
        raise _refused("storage", f"Storage {args.storage} of {args.node} takes no OS templates now.")
    if args.template not in {each.template for each in await api.appliances(args.node)}:
        hint = "Ask it to read the list anew: `pveam update` on the node."
        raise _refused("template", f"Node {args.node} offers no {args.template} now. {hint}")
    return DONE


async def download(work: Work) -> Result:
    """Let the node download the archive and check its checksum."""
    args = work.command.args_as(OsTemplateDownloadArgs)
    if await _volume(work):
        return NOTHING_TO_DO
    reported = 0

    async def report(text: str) -> None:
        nonlocal reported
        percent = max((int(each) for each in _PERCENT.findall(text)), default=0)
        if reported + REPORTED_EVERY <= percent <= 100:  # noqa: PLR2004  of percent
            reported = percent
            await work.journal.report(f"{args.template}: {percent} %")

    await tasks.run(
        work,
        "download",
        lambda: work.cluster.api.download_appliance(args.node, args.storage, args.template),
        deadline=DEADLINE,
        on_text=report,
    )
    return DONE


async def verify(work: Work) -> Result:
    """See the archive on the storage."""
    args, volume = work.command.args_as(OsTemplateDownloadArgs), await _volume(work)
    if volume is None:
        raise NotThere(
            f"Node {args.node} says that it has downloaded {args.template}, but storage {args.storage} does "
            "not list it. Somebody may have removed it; retry the job."
        )
    return Result(message=f"{volume.volid}, {volume.size >> 20} MiB")


def _refused(field: str, message: str) -> NotDownloadable:
    return NotDownloadable(message, errors=[FieldError(field=f"args.{field}", message=message)])


async def _volume(work: Work) -> Volume | None:
    args = work.command.args_as(OsTemplateDownloadArgs)
    volumes = await work.cluster.api.content(args.node, args.storage, kind="vztmpl")
    return next((each for each in volumes if each.volid.rpartition("/")[2] == args.template), None)
