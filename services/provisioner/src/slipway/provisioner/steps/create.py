"""Phase create: the container is created once, whatever happens to this process meanwhile."""

import asyncio
from collections.abc import Mapping
from datetime import timedelta
from pathlib import PurePosixPath

from slipway.contracts.container_specs import ContainerSpec
from slipway.contracts.jobs import ReplaceVmid
from slipway.contracts.problems import FieldError, Rejected
from slipway.provisioner.engine import events
from slipway.provisioner.engine.facts import StepFacts
from slipway.provisioner.engine.step import DONE, SKIPPED, Result
from slipway.provisioner.host import ownership, parameters, room, tasks
from slipway.provisioner.host.work import Work
from slipway.provisioner.steps import host_access
from slipway.proxmox.errors import NodeUnreachable, TaskLost, VmidTaken
from slipway.proxmox.upid import Upid

CREATE_DEADLINE = timedelta(minutes=30)
DOWNLOAD_DEADLINE = timedelta(minutes=30)
NODE_TIMEOUT = timedelta(seconds=5)
RESTRICTS_PRIVILEGED = 9
"""The major version of Proxmox from which only who has `Sys.Modify` makes privileged containers."""
REPLACEMENTS = 20
"""VMIDs tried before the job gives up; each was taken by someone else."""


class OstemplateFacts(StepFacts):
    """The OS template on the node."""

    volume: str | None = None


class PreflightFailed(Rejected):
    """The node can't take the container as it was requested."""

    code = "preflight.failed"


async def preflight(work: Work) -> Result:
    """Ask the node for everything that the creation needs, before anything is made."""
    await _reach_node(work)
    await host_access.resolve_mounts(work)
    api, node, spec = work.cluster.api, work.target.node, work.spec
    storages, bridges, permissions = await asyncio.gather(
        api.storages(node, content="rootdir"), api.networks(node), api.permissions()
    )
    faults = []
    able = {storage.name for storage in storages if storage.active}
    requested = {spec.storage, *(mount.storage for mount in spec.mounts if not mount.is_bind)}
    faults += [("storage", f"storage {name} can't hold disks on {node} now") for name in requested - able]
    faults += [("disk", problem) for problem in room.lacking(storages, _sizes(spec))]
    present = {bridge.name for bridge in bridges}
    bridged = {network.bridge for network in spec.networks}
    faults += [("networks", f"node {node} has no bridge {name}") for name in bridged - present]
    for path, privilege in (
        (f"/vms/{work.target.vmid}", "VM.Allocate"),
        (f"/storage/{spec.storage}", "Datastore.AllocateSpace"),
    ):
        if not _may(permissions, path, privilege) and not (spec.pool and privilege == "VM.Allocate"):
            faults.append(("token_id", f"the access has no {privilege} on {path}"))
    is_restricted = spec.unprivileged is False and not _may(permissions, "/", "Sys.Modify")
    if is_restricted and (await api.version()).major >= RESTRICTS_PRIVILEGED:
        faults.append(("unprivileged", "a privileged one needs Sys.Modify on / for the API token"))
    if faults:
        errors = [FieldError(field=field, message=message) for field, message in faults]
        problems = "; ".join(each.message for each in errors)
        raise PreflightFailed(f"The container can't be created: {problems}.", errors=errors)
    return DONE


async def ostemplate(work: Work) -> Result:
    """Find the OS template on the node, or download it."""
    api, node, name = work.cluster.api, work.target.node, str(work.spec.ostemplate)
    if ":" in name:
        return Result(message=name)
    storages = [each.name for each in await api.storages(node, content="vztmpl") if each.active]
    for storage in storages:
        for volume in await api.content(node, storage, kind="vztmpl"):
            if volume.volid.rpartition("/")[2] == name:
                work.note(OstemplateFacts(volume=volume.volid))
                return Result(message=volume.volid)
    if not storages:
        message = f"Node {node} has no storage for OS templates, so {name} can't be downloaded."
        raise PreflightFailed(message, errors=[FieldError(field="ostemplate", message=message)])
    await tasks.run(
        work,
        "download",
        lambda: api.download_appliance(node, storages[0], name),
        deadline=DOWNLOAD_DEADLINE,
    )
    volume_id = f"{storages[0]}:vztmpl/{name}"
    work.note(OstemplateFacts(volume=volume_id))
    return Result(message=f"downloaded {volume_id}")


async def create(work: Work) -> Result:
    """Create the container, unless a former owner of this run did."""
    has_lost = False
    for _ in range(REPLACEMENTS):
        try:
            return await _create_or_find(work)
        except TaskLost:
            # The task was killed, or only its exit status was lost: a second look shows which.
            if has_lost:
                raise
            has_lost = True
        except VmidTaken:
            await replace_vmid(work)
    raise VmidTaken(f"{REPLACEMENTS} VMIDs in a row were taken by others.")


async def features(work: Work) -> Result:
    """Set what no API token may set, over SSH."""
    spec = work.spec
    if not parameters.names_over_ssh(spec.features, unprivileged=bool(spec.unprivileged)):
        return SKIPPED
    flags = parameters.flags(spec.features)
    await work.journal.flush()
    await work.pct.set_options(work.target.vmid, {"features": parameters.property_string(flags)})
    return Result(message=", ".join(sorted(flags)))


async def verify(work: Work) -> Result:
    """Read the config back; settings that differ from the request become warnings."""
    differing = parameters.differences(work.spec, await work.config(), work.target)
    warnings = tuple(f"config-differs: {name}" for name in differing)
    work.warn(*warnings)
    return Result(message="; ".join(warnings) or "the config is as it was asked for")


def _sizes(spec: ContainerSpec) -> Mapping[str, float]:
    """Return the sizes of the disks, in GiB by storage."""
    sizes = {str(spec.storage): spec.disk or 0}
    for mount in spec.mounts:
        if not mount.is_bind:
            sizes[str(mount.storage)] = sizes.get(str(mount.storage), 0) + (mount.size or 0)
    return sizes


async def _create_or_find(work: Work) -> Result:
    if not work.facts(tasks.TaskFacts).upid:
        match await ownership.look(work):
            case ownership.Ours():
                await work.journal.commit(exists_on_host=True)
                return Result(message="it exists already")
            case ownership.Begun(task) if task.is_running:
                await tasks.adopt(work, task.upid)
            case ownership.Begun() | ownership.HalfCleared():
                await ownership.clear(work)
            case ownership.Foreign():
                raise VmidTaken(f"VMID {work.target.vmid} belongs to someone else.", vmid=work.target.vmid)
            case ownership.Missing():
                pass
    try:
        await tasks.run(work, "vzcreate", lambda: _post(work), deadline=CREATE_DEADLINE, exists_on_host=True)
    except VmidTaken:
        # Perhaps by a call of ours whose answer was lost: it may have arrived after all.
        if isinstance(await ownership.look(work), ownership.Ours | ownership.Begun):
            return await _create_or_find(work)
        raise
    return DONE


async def _post(work: Work) -> Upid:
    password = work.secrets.get("password")
    params = parameters.of(
        work.spec,
        work.target,
        work.command.job,
        ostemplate=work.facts(OstemplateFacts, "create.ostemplate").volume or str(work.spec.ostemplate),
        password=password.get_secret_value() if password else None,
    )
    return await work.cluster.api.create(work.target.node, params)


async def replace_vmid(work: Work) -> None:
    """Choose another VMID, if Slipway had chosen this one."""
    refused = work.target.vmid
    if not work.target.vmid_is_provisional:
        message = f"VMID {refused} is in use in this cluster; leave it out to get a free one."
        await work.journal.commit(exists_on_host=False)
        raise VmidTaken(
            message, code="vmid.taken", errors=[FieldError(field="vmid", message=message)], vmid=refused
        )
    # Only the run's owner may change what inventory knows: a former owner is refused here.
    await work.journal.commit()
    replaced = await work.bus.ask(ReplaceVmid(job=work.command.job, refused=refused))
    message = f"VMID {refused} was taken by someone else; going on with {replaced.vmid}."
    event = events.progress(work.journal.record, message, vmid=replaced.vmid)
    target = work.target.model_copy(update={"vmid": replaced.vmid})
    steps = work.steps_with(tasks.NO_TASK)
    await work.journal.commit(event, target=target, steps=steps, exists_on_host=False)


async def _reach_node(work: Work) -> None:
    """Find out in seconds whether the node answers: each request to a dead one takes half a minute."""
    node = work.target.node
    try:
        await work.cluster.api.within(NODE_TIMEOUT).reach_node(node)
    except NodeUnreachable as error:
        raise NodeUnreachable(f"Node {node} does not answer: {error.message}", node=node) from error
    except Rejected:
        # It answers, even if it refuses the question.
        return


def _may(permissions: Mapping[str, Mapping[str, bool]], path: str, privilege: str) -> bool:
    """Return whether a privilege is held on a path, or on one above it that hands it down."""
    return privilege in permissions.get(path, ()) or any(
        permissions.get(str(parent), {}).get(privilege) for parent in PurePosixPath(path).parents
    )
