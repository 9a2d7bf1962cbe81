"""Running services as the guest's service manager names them, systemd or OpenRC."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from slipway.monitor.discovery.probes.listener import Listener

INTERPRETER_WORDS = 2
"""`/usr/bin/env python3`, `/bin/sh -e`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitSocket:
    """A socket that systemd listens on for a service."""

    protocol: str
    address: str
    """As in `Listener`."""
    port: int
    unit: str
    """The service that it starts, without `.service`; else the socket's own name."""

    def is_of(self, listener: Listener) -> bool:
        """Return whether it is this listener; `[::]` may be shown as every address of both families."""
        is_same = listener.address == self.address or {listener.address, self.address} == {"*", "::"}
        return is_same and (listener.protocol, listener.port) == (self.protocol, self.port)


@dataclass(frozen=True, slots=True, kw_only=True)
class Units:
    """The running services."""

    kind: str = "systemd"
    """`systemd` or `openrc`."""
    names: tuple[str, ...] = ()
    """Without `.service`."""
    main_pids: Mapping[int, str] = field(default_factory=dict)
    commands: Mapping[tuple[str, ...], str] = field(default_factory=dict)
    """Command lines of services' daemons; of some, OpenRC knows no process."""
    sockets: tuple[UnitSocket, ...] = ()
    steps: frozenset[str] = frozenset()
    """Those of the names that have run to their end: OpenRC calls `hostname` started, too."""

    def of_command(self, arguments: Sequence[str]) -> str | None:
        """Return the service whose daemon has a command line; a script's interpreter may stand before it."""
        starts = (tuple(arguments[at:]) for at in range(min(INTERPRETER_WORDS, len(arguments)) + 1))
        return next((self.commands[words] for words in starts if words in self.commands), None)
