"""How a node is: its name, its clock, whether it answers and whether the others know.

All of it follows from the orders that stand; nothing is remembered here.
"""

import time
from dataclasses import dataclass

from slipway.lab.faults import ApiFrozen, ClockOff, NodeDies, NodeGone, NodeOffline, NodeRenamed, SshFrozen
from slipway.lab.faults.scope import NodeFault
from slipway.lab.faults.standing import Faults
from slipway.lab.problems import Refused
from slipway.lab.settings import Timings

NO_ROUTE, NO_ANSWER = 595, 596


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """The condition of one node."""

    first_name: str
    """The name that the lab gave it, by which orders mean it."""
    faults: Faults
    timings: Timings

    @property
    def name(self) -> str:
        """The name that it has now."""
        renamed = [one.name for one in self.faults.all(NodeRenamed) if one.is_about(self.first_name)]
        return renamed[-1] if renamed else self.first_name

    @property
    def is_gone(self) -> bool:
        """Whether it has left the cluster."""
        return self._is(NodeGone)

    @property
    def is_dead(self) -> bool:
        """Whether it has lost its power, whatever the other nodes know."""
        return self._is(NodeDies)

    @property
    def is_online(self) -> bool:
        """Whether the other nodes see it."""
        died = self._died()
        return not self._is(NodeOffline) and (died is None or died[1] < died[0].noticed_after)

    @property
    def is_shut(self) -> bool:
        """Whether it resets new connections."""
        return self.is_gone or self._is(NodeOffline)

    @property
    def is_api_frozen(self) -> bool:
        """Whether its API takes connections and answers nothing."""
        return self.is_dead or self._is(ApiFrozen)

    @property
    def is_ssh_frozen(self) -> bool:
        """Whether its SSH takes connections and answers nothing."""
        return self.is_dead or self._is(SshFrozen)

    def now(self) -> float:
        """Read its clock."""
        orders = self.faults.all(ClockOff)
        return time.time() + sum(one.seconds for one in orders if one.is_about(self.first_name))

    def silence(self) -> tuple[float, Refused] | None:
        """Return what another node answers about it, and after how many seconds; None if it can be asked."""
        if self._is(NodeOffline):
            return 0.0, _unreachable("No route to host")
        if (died := self._died()) is not None:
            order, age = died
            if age < order.noticed_after:
                return order.answered_after, _unreachable("Connection timed out")
            return order.answered_after / 2, _unreachable("No route to host")
        return (self.timings.proxy_timeout, unanswered()) if self._is(ApiFrozen) else None

    def _died(self) -> tuple[NodeDies, float] | None:
        orders = self.faults.aged(NodeDies)
        return next(((one, age) for _, one, age in orders if one.is_about(self.first_name)), None)

    def _is(self, kind: type[NodeFault]) -> bool:
        return any(one.is_about(self.first_name) for one in self.faults.all(kind))


def unanswered() -> Refused:
    """Refuse as pveproxy does when the program behind it took the question and never answered."""
    return Refused("Connection timed out", status=NO_ANSWER, is_empty=True)


def _unreachable(reason: str) -> Refused:
    return Refused(reason, status=NO_ROUTE, is_empty=True)
