"""What all faults have in common, and what a fault may be about: calls, commands, guests, nodes, tasks."""

from fnmatch import fnmatchcase
from typing import Literal

from pydantic import BaseModel, ConfigDict

Point = Literal["begin", "middle", "end"]


class Fault(BaseModel):
    """Something that shall go wrong."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: str
    """What goes wrong, on the wire."""
    times: int | None = 1
    """How often it happens; None until cleared."""


class State(Fault):
    """How something is until the fault is cleared, in place of something that happens."""

    times: int | None = None


class CallFault(Fault):
    """A fault of the calls of a method and a path."""

    method: str = "*"
    """`POST`, or `*` for any."""
    path: str = "*"
    """Below `/api2/json`, with `*` as wildcard: `/nodes/*/lxc`."""

    def fits(self, method: str, path: str) -> bool:
        """Return whether a call is meant."""
        return self.method in ("*", method) and fnmatchcase(path, self.path)


class CommandFault(Fault):
    """A fault of a command."""

    match: str = ""
    """Part of the command line; empty for any."""


class GuestFault(State):
    """A fault of guests."""

    vmid: int | None = None
    """None for all."""

    def is_about(self, vmid: int) -> bool:
        """Return whether a guest is meant."""
        return self.vmid in (None, vmid)


class NodeFault(State):
    """A fault of nodes."""

    node: str = "*"
    """Its name in the lab, with `*` as wildcard."""

    def is_about(self, node: str) -> bool:
        """Return whether a node is meant."""
        return fnmatchcase(node, self.node)


class TaskFault(Fault):
    """A fault of a task."""

    task: str = "*"
    """`vzcreate`, `vzstart`, ..."""
    vmid: int | None = None
    at: Point = "middle"
    """`middle` is where a creation has its disk and unpacks, and others hold the container's lock."""

    def fits(self, point: Point, kind: str, subject: str) -> bool:
        """Return whether a task is meant, at a point of it."""
        is_mine = self.vmid is None or str(self.vmid) == subject
        return self.at == point and is_mine and fnmatchcase(kind, self.task)
