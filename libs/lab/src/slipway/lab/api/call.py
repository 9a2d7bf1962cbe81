"""What a handler gets, and how it is registered."""

import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from slipway.lab.access.actors import Actor
from slipway.lab.access.tickets import Doorkeeper
from slipway.lab.host.machine import Machine
from slipway.lab.host.observe import Observer
from slipway.lab.http.messages import Answer


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One API call whose parameters were checked."""

    machine: Machine
    """The node that the call is about, or else the one that answers."""
    observers: Mapping[str, Observer]
    """Of all nodes, by the names that the lab gave them."""
    doorkeeper: Doorkeeper
    actor: Actor
    params: Mapping[str, str]
    """All parameters, those in the path included, as texts."""

    @property
    def observer(self) -> Observer:
        """What the node sees."""
        return self.observers[self.machine.condition.first_name]

    @property
    def members(self) -> list[Machine]:
        """All nodes of the cluster."""
        return list(self.machine.members.values())

    @property
    def vmid(self) -> int:
        """The container's number."""
        return int(self.params["vmid"])

    def flag(self, name: str) -> bool:
        """Return whether a flag is set."""
        return self.params.get(name) == "1"

    def number(self, name: str) -> int | None:
        """Read a whole number."""
        return int(self.params[name]) if name in self.params else None

    def words(self, name: str) -> list[str]:
        """Read a list of words."""
        return [word for word in re.split(r"[,;\s]+", self.params.get(name, "")) if word]


@dataclass(frozen=True, slots=True)
class Listed:
    """A result with its total beside it."""

    rows: list[dict[str, Any]]
    total: int


Row = dict[str, Any]
Handler = Callable[[Call], Awaitable[Any] | Answer | Any]
GUEST = "/nodes/{node}/lxc/{vmid}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """A handler with the rights that are checked before anything else."""

    handler: Handler
    path: str | None = None
    """Where rights are needed: `/vms/{vmid}`."""
    rights: tuple[str, ...] = ()
    any_right: bool = False
    """One of them is enough."""
    is_open: bool = False
    """Callable without a login."""
    allows_token: bool = True


Routes = Mapping[str, Route]


def on_guest(handler: Handler, *rights: str, any_right: bool = False) -> Route:
    """Register what needs rights on the container that the call is about."""
    return Route(handler=handler, path="/vms/{vmid}", rights=rights, any_right=any_right)


def on_node(handler: Handler) -> Route:
    """Register what shows a node to those who may audit it."""
    return Route(handler=handler, path="/nodes/{node}", rights=("Sys.Audit",))


def on_cluster(handler: Handler) -> Route:
    """Register what shows the cluster to those who may audit it."""
    return Route(handler=handler, path="/", rights=("Sys.Audit",))


def index(*names: str, key: str = "name") -> Route:
    """Register a list of what stands below a path."""
    return Route(handler=lambda _call: [{key: name} for name in names])
