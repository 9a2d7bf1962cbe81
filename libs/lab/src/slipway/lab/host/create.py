"""Creating a container.

Theory of operation (PVE 9.2, recorded and read in PVE::API2::LXC). A short synchronous part checks rights,
storages and the VMID, writes a config that holds nothing but `lock: create`, and starts a task. Everything
else fails inside that task, and then disk and config go away again. If its worker is killed they stay: a
locked zombie, which the API will neither delete nor create again. The VMID is the compare-and-set: of two
callers the later one is refused, at the first look or once the earlier one's flock is free.
"""

import asyncio
import re
from base64 import b64decode
from collections.abc import Mapping
from pathlib import Path

import asyncssh

from slipway.lab.access.actors import Actor
from slipway.lab.faults import VmidTaken
from slipway.lab.guests.protocol import GuestError
from slipway.lab.host import options, power, rights, snapshots, templates
from slipway.lab.host.configs import Config
from slipway.lab.host.machine import Machine
from slipway.lab.host.storages import check_template_volume
from slipway.lab.host.tasks import Interrupted, Work
from slipway.lab.problems import Refused, not_permitted

_KEY = re.compile(r"(\S+)[ \t]+(AAAA[A-Za-z0-9+/]+={0,2})(?:\s|$)")
"""A key's type and itself."""
UNPACK = (
    "command 'lxc-usernsexec -m u:0:100000:65536 -m g:0:100000:65536 -- tar xpf - --zstd --totals "
    "--one-file-system -p --sparse --numeric-owner --acls --xattrs '--xattrs-include=user.*' "
    "'--xattrs-include=security.capability' '--warning=no-file-ignored' '--warning=no-xattr-write' "
    "-C /var/lib/lxc/{vmid}/rootfs --skip-old-files --anchored --exclude './dev/*''"
)
NOT_STORED = frozenset(
    [
        "node",
        "vmid",
        "ostemplate",
        "storage",
        "password",
        "ssh-public-keys",
        "start",
        "pool",
        "force",
        "restore",
        "unique",
        "bwlimit",
        "ha-managed",
        "ignore-unpack-errors",
        "rootfs",
        "lock",
    ]
)


async def create(machine: Machine, actor: Actor, params: Mapping[str, str]) -> str:
    """Check what can be checked, lock the VMID and start the task; give its name."""
    vmid = int(params["vmid"])
    let_someone_else_take(machine, vmid)
    check_unused(machine, vmid)
    _check(machine, actor, vmid, params)
    await asyncio.sleep(machine.timings.create_check)
    async with machine.configs.flock(vmid, machine.timings.create_lock_wait):
        try:
            check_unused(machine, vmid)
        except Refused as refused:
            raise Refused(f"unable to create CT {vmid} - {refused}") from refused
        machine.configs.put(vmid, {"lock": "create"})
    if pool := params.get("pool"):
        machine.pools.add_guest(pool, vmid)

    async def body(work: Work) -> None:
        await _work(machine, vmid, params, work)
        if params.get("start") == "1":
            power.start_task(machine, actor, vmid)

    return machine.tasks.start("vzcreate", str(vmid), actor.name, body)


def _check(machine: Machine, actor: Actor, vmid: int, params: Mapping[str, str]) -> None:
    if (keys := params.get("ssh-public-keys")) is not None:
        _check_keys(keys)
    pool = params.get("pool")
    if pool is not None and pool not in machine.pools:
        raise not_permitted(f"pool '{pool}' does not exist")
    actor = actor.in_pool(pool)
    if not actor.may(f"/vms/{vmid}", "VM.Allocate"):
        raise not_permitted()
    is_unprivileged = params.get("unprivileged", "1") == "1"
    if not is_unprivileged:
        actor.require("/", "Sys.Modify")
    stored = {key: value for key, value in params.items() if key not in NOT_STORED or key == "rootfs"}
    rights.check_options(actor, vmid, stored, is_unprivileged=is_unprivileged)
    template = params["ostemplate"]
    check_template_volume(machine.storages, template, is_root=actor.is_root)
    if ":" in template:
        path = f"/storage/{template.partition(':')[0]}"
        actor.require_any(path, ("Datastore.AllocateSpace", "Datastore.Audit"))
    check_storages(machine, actor, params)


def check_storages(machine: Machine, actor: Actor, params: Mapping[str, str]) -> None:
    """Refuse storages that can't take the disks, or not for this actor."""
    volumes = {key: value for key, value in params.items() if key == "rootfs" or options.is_mount_point(key)}
    if volumes and "rootfs" not in volumes:
        raise Refused("mount points configured, but 'rootfs' not set - aborting")
    for storage in _storages(volumes, params.get("storage", "local")):
        machine.storages.for_containers(storage)
        actor.require(f"/storage/{storage}", "Datastore.AllocateSpace")


def _storages(volumes: Mapping[str, str], default: str) -> set[str]:
    names = set() if "rootfs" in volumes else {default}
    for value in volumes.values():
        source = value.partition(",")[0].removeprefix("volume=")
        if source.replace(".", "", 1).isdigit():
            names.add(default)
        elif rights.mount_kind(value) == "volume":
            if ":" not in source:
                raise Refused(f"unable to parse volume ID '{source}'")
            names.add(source.partition(":")[0])
    return names


def _check_keys(keys: str) -> None:
    """Refuse a line that holds no key, a comment as well: `ssh-keygen -l` looks at each one by itself.

    A key of another type than is written before it is none (OpenSSH, `sshkey_read`).
    """
    for line in filter(str.strip, keys.split("\n")):
        try:
            asyncssh.import_authorized_keys(line)
        except ValueError as error:
            raise Refused("SSH public key validation error") from error
        written = _KEY.search(line)
        kind = written[1].encode() if written else b""
        if written is None or not b64decode(written[2]).startswith(len(kind).to_bytes(4, "big") + kind):
            raise Refused("SSH public key validation error")


def check_unused(machine: Machine, vmid: int) -> None:
    """Refuse a VMID that belongs to a container anywhere in the cluster."""
    if (home := machine.home_of(vmid)) is not None:
        raise Refused(f"CT {vmid} already exists on node '{home.node}'")
    if (row := machine.faults.foreign_guests().get(vmid)) is not None:
        kind = "CT" if row["type"] == "lxc" else "VM"
        raise Refused(f"{kind} {vmid} already exists on node '{row.get('node', machine.node)}'")


def let_someone_else_take(machine: Machine, vmid: int) -> None:
    """Create someone else's container first, if a fault orders it."""
    if machine.faults.take(VmidTaken, lambda fault: fault.vmid in (None, vmid)):
        machine.configs.put(vmid, {"hostname": "someone-elses", "memory": "512", "swap": "512"})


async def _work(machine: Machine, vmid: int, params: Mapping[str, str], work: Work) -> None:
    prefix = f"unable to create CT {vmid} - "
    async with machine.configs.flock(vmid, machine.timings.config_lock_wait):
        try:
            config = await _build(machine, vmid, params, work)
        except (Refused, GuestError) as error:
            await clean(machine, vmid)
            raise Refused(f"{prefix}{error}") from error
        except asyncio.CancelledError:
            if work.is_killed:
                raise
            await clean(machine, vmid)
            raise Interrupted(f"{prefix}{UNPACK.format(vmid=vmid)}") from None
        machine.configs.put(vmid, config, {})


async def clean(machine: Machine, vmid: int, *, keeps_disks: bool = False) -> None:
    """Remove guest and config, and the disks of a creation that failed."""
    if not keeps_disks:
        machine.storages.free(vmid)
    snapshots.forget(machine, vmid)
    await machine.guests.destroy(vmid)
    machine.forget_origin(vmid)
    machine.pools.forget_guest(vmid)
    machine.configs.remove(vmid)


async def _build(machine: Machine, vmid: int, params: Mapping[str, str], work: Work) -> Config:
    template = machine.storages.template(params["ostemplate"])
    config = _config(vmid, params, template)
    for key, wanted in wanted_volumes(params).items():
        config[key] = allocate(machine, vmid, key, wanted, work)
    work.log(f"extracting archive '/var/lib/vz/template/cache/{template.name}'")
    await machine.faults.at_task("middle", work)
    _check_room(machine, config, template, work)
    spec = options.spec(
        vmid,
        config,
        template,
        password=params.get("password"),
        ssh_public_keys=params.get("ssh-public-keys"),
    )
    await machine.guests.create(spec)
    machine.remember_origin(vmid, template)
    kib = templates.unpacked_kib(template)
    work.log(f"Total bytes read: {kib * 1024} ({kib // 1024}MiB, 324MiB/s)")
    if "arch" not in params:
        work.log(f"Detected container architecture: {config['arch']}")
    templates.warn_without_nesting(template, config, work)
    return config


def _config(vmid: int, params: Mapping[str, str], template: Path) -> Config:
    config = {key: options.stored(key, value) for key, value in params.items() if key not in NOT_STORED}
    config.setdefault("arch", templates.architecture(template))
    config.setdefault("hostname", f"CT{vmid}")
    config.setdefault("memory", "512")
    config.setdefault("swap", "512")
    config.setdefault("ostype", templates.ostype(template))
    config.setdefault("unprivileged", "1")
    if config["unprivileged"] == "0":
        del config["unprivileged"]
    return config


def wanted_volumes(params: Mapping[str, str]) -> dict[str, dict[str, str]]:
    """Read which disks are asked for; a bare number is a size on the storage that is given besides."""
    default = params.get("storage", "local")
    volumes = options.volumes({"rootfs": f"{default}:4"} | dict(params))
    for parts in volumes.values():
        if parts["volume"].replace(".", "", 1).isdigit():
            parts["volume"] = f"{default}:{parts['volume']}"
    return volumes


def allocate(machine: Machine, vmid: int, key: str, wanted: dict[str, str], work: Work) -> str:
    """Make a disk, and say so as Proxmox does; give what the config says of it."""
    if wanted["volume"].startswith("/"):
        return options.stored_volume(key, wanted)
    storage, _, size = wanted["volume"].partition(":")
    kib = int(float(size or "4") * options.KIB_PER["M"]) * options.KIB_PER["M"]
    volume = machine.storages.allocate(storage, vmid, kib)
    lines = templates.disk_lines(machine.storages.get(storage), volume)
    for line in lines:
        work.log(line)
    has_room = templates.file_system_kib(kib) <= machine.storages.room_kib(volume.volid)
    if lines and (machine.faults.is_full(storage, "mkfs") or not has_room):
        work.log(templates.MKFS_FAILS)
        path = templates.image_path(machine.storages.get(storage), volume)
        raise Refused(f"command 'mkfs.ext4 -O mmp -E 'root_owner=100000:100000' {path}' failed: exit code 1")
    return options.stored_volume(key, wanted | {"volume": volume.volid, "size": options.from_kib(kib)})


def _check_room(machine: Machine, config: Config, template: Path, work: Work) -> None:
    volume = options.volumes(config)["rootfs"]
    size = options.to_kib(volume["size"])
    needed = templates.unpacked_kib(template)
    is_too_small = 0 < size < needed or machine.storages.room_kib(volume["volume"]) < needed
    if is_too_small or machine.faults.is_full(volume["volume"].partition(":")[0], "unpack"):
        work.log("tar: ./usr/bin/perl: Cannot write: No space left on device")
        vmid = work.upid.id
        raise Refused(f"{UNPACK.format(vmid=vmid)} failed: exit code 2")
