"""What a handler gets, and how it is registered. No behaviour."""

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
    given: Mapping[str, str]
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
        return int(self.given["vmid"])

    def flag(self, name: str) -> bool:
        """Whether a flag is set."""
        return self.given.get(name) == "1"

    def number(self, name: str) -> int | None:
        """Read a whole number."""
        return int(self.given[name]) if name in self.given else None


@dataclass(frozen=True, slots=True)
class Listed:
    """A result with its total beside it."""

    rows: list[dict[str, Any]]
    total: int


Handler = Callable[[Call], Awaitable[Any] | Answer | Any]


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
