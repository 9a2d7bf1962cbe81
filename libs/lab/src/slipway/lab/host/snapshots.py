"""Snapshots: a container's config and disk as they were, and the way back.

Theory of operation (PVE::AbstractConfig). What is wrong is found inside the task. Every act holds the lock of
its name in the config. A snapshot remembers the config without description and lock; a rollback stops the
container, takes config and disk from the snapshot, keeps the present description, drops what waits for the
next start, and leaves the container stopped. Snapshots form a tree by `parent`, which the config has too: it
is the snapshot that it came from.
The disks are archives in the data folder, made and read by the guests' backend.
"""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from slipway.lab.access.actors import Actor
from slipway.lab.host import disks, locks, options, power, records
from slipway.lab.host.configs import Config, Pending, check_lock
from slipway.lab.host.machine import Machine
from slipway.lab.host.storages import Volume
from slipway.lab.host.tasks import Body, Work
from slipway.lab.problems import Refused

Stored = dict[str, Any]
RESERVED = ("current", "vzdump")
PRESENT_ONLY = ("description", "lock")


def stored(machine: Machine, vmid: int) -> dict[str, Stored]:
    """Return a container's snapshots: `config`, `description`, `snaptime`, `parent` by name."""
    return records.read_json(folder(machine, vmid) / "snapshots.json") or {}


def config_of(machine: Machine, vmid: int, name: str) -> Config:
    """Return the config that a snapshot remembers; its notes are the snapshot's own description."""
    snapshot = _find(machine, vmid, name)
    notes = {"description": snapshot["description"]} if snapshot["description"] else {}
    return dict(snapshot["config"]) | notes


def describe(machine: Machine, vmid: int, name: str, description: str) -> None:
    """Give a snapshot another description."""
    check_lock(machine.configs.get(vmid))
    snapshot = _find(machine, vmid, name) | {"description": options.stored("description", description)}
    _write(machine, vmid, stored(machine, vmid) | {name: snapshot})


def disk_of(machine: Machine, vmid: int, name: str) -> Path:
    """Return the archive that a snapshot's disk is."""
    return folder(machine, vmid) / f"{name}.tar"


def forget(machine: Machine, vmid: int) -> None:
    """Remove all of a container's snapshots with it."""
    shutil.rmtree(folder(machine, vmid), ignore_errors=True)


def possible(machine: Machine, config: Mapping[str, str]) -> bool:
    """Return whether every storage that the container is on has snapshots; a folder of the host has none."""
    storages = [part["volume"].partition(":")[0] for part in options.volumes(config).values()]
    return all(name and machine.storages.get(name).has_snapshots for name in storages)


def take(machine: Machine, vmid: int, name: str, description: str) -> Body:
    """Make the body of a snapshot."""

    async def body(work: Work) -> None:
        async with locks.holding(machine, vmid, "snapshot", work) as config:
            if config.get("template") == "1":
                raise Refused("you can't take a snapshot if it's a template")
            if name in stored(machine, vmid):
                raise Refused(f"snapshot name '{name}' already used")
            if not possible(machine, config):
                raise Refused("snapshot feature is not available")
            disks.check_names(machine, config)
            await machine.faults.at_task("middle", work)
            await machine.guests.save(vmid, disk_of(machine, vmid, name))
            _log(machine, vmid, f'snap_{{}}_{name}" created.', work)
            remembered = {key: value for key, value in config.items() if key not in PRESENT_ONLY}
            snapshot: Stored = {
                "config": remembered,
                "description": options.stored("description", description) if description else "",
                "snaptime": int(machine.now()),
                "parent": config.get("parent"),
            }
            _write(machine, vmid, stored(machine, vmid) | {name: snapshot})
            await _change(machine, vmid, config | {"parent": name, "lock": "snapshot"})

    return body


def removing(machine: Machine, vmid: int, name: str) -> Body:
    """Make the body of a snapshot's removal: what came after it now comes after what it came after."""

    async def body(work: Work) -> None:
        async with locks.holding(machine, vmid, "snapshot-delete", work) as config:
            gone = _find(machine, vmid, name)
            await machine.faults.at_task("middle", work)
            _log(machine, vmid, f'snap_{{}}_{name}" successfully removed.', work)
            others = {other: one for other, one in stored(machine, vmid).items() if other != name}
            for one in others.values():
                one["parent"] = gone["parent"] if one["parent"] == name else one["parent"]
            _write(machine, vmid, others)
            disk_of(machine, vmid, name).unlink(missing_ok=True)
            if config.get("parent") == name:
                above = {"parent": gone["parent"]} if gone["parent"] else {}
                rest = {key: value for key, value in config.items() if key != "parent"}
                await _change(machine, vmid, rest | above | {"lock": "snapshot-delete"})

    return body


def rolling_back(machine: Machine, actor: Actor, vmid: int, name: str, *, starts: bool) -> Body:
    """Make the body of a rollback."""

    async def body(work: Work) -> None:
        _find(machine, vmid, name)
        async with locks.holding(machine, vmid, "rollback", work) as config:
            snapshot = _find(machine, vmid, name)
            if machine.is_running(vmid):
                await machine.guests.stop(vmid)
            await machine.faults.at_task("middle", work)
            restored = _restored(config, snapshot["config"]) | {"parent": name}
            await machine.guests.load(machine.spec(vmid, restored), disk_of(machine, vmid, name))
            for line in ("successfully removed.", "created."):
                _log(machine, vmid, f'{{}}" {line}', work)
            for part in options.volumes(restored).values():
                machine.storages.resize(part["volume"], options.to_kib(part["size"]))
            await _change(machine, vmid, restored | {"lock": "rollback"}, {})
        if starts:
            power.start_task(machine, actor, vmid)

    return body


def _restored(config: Config, snapshot: Mapping[str, str]) -> Config:
    """The snapshot's config with the present description; disks made since stay as unused ones."""
    restored = dict(snapshot) | {key: config[key] for key in ("description",) if key in config}
    in_snapshot = {part["volume"] for part in options.volumes(snapshot).values()}
    spare = [part["volume"] for part in options.volumes(config).values() if part["volume"] not in in_snapshot]
    return restored | {f"unused{number}": volume for number, volume in enumerate(spare)}


async def _change(machine: Machine, vmid: int, config: Config, pending: Pending | None = None) -> None:
    async with machine.configs.flock(vmid, machine.timings.config_lock_wait):
        machine.configs.put(vmid, config, pending)


def _find(machine: Machine, vmid: int, name: str) -> Stored:
    machine.configs.get(vmid)
    snapshot = stored(machine, vmid).get(name)
    if snapshot is None:
        raise Refused(f"snapshot '{name}' does not exist")
    return snapshot


def _log(machine: Machine, vmid: int, what: str, work: Work) -> None:
    volumes: list[Volume] = machine.storages.volumes_of(vmid)
    for volume in volumes:
        work.log(f'  Logical volume "{what.format(volume.volid.partition(":")[2])}')


def _write(machine: Machine, vmid: int, snapshots: Mapping[str, Stored]) -> None:
    records.write_json(folder(machine, vmid) / "snapshots.json", snapshots)


def folder(machine: Machine, vmid: int) -> Path:
    """Return the folder of a container's archives."""
    return machine.folder / "snapshots" / str(vmid)
