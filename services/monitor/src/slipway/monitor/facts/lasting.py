"""What seldom changes of a node, and until when it is not asked for again."""

from collections.abc import Mapping
from datetime import timedelta
from types import MappingProxyType
from typing import Final

from slipway.contracts.cluster_facts import NodeFacts
from slipway.contracts.message import Moment
from slipway.monitor.facts.diff import FIELDS_OF_PART
from slipway.runtime.process import clock
from slipway.runtime.retry import Deadline

EVERY: Final[Mapping[str, timedelta]] = MappingProxyType(
    {
        "appliances": timedelta(hours=1),
        "architecture": timedelta(hours=1),
        "gpus": timedelta(hours=1),
        "devices": timedelta(minutes=10),
        "vnets": timedelta(minutes=10),
    }
)
"""How often a node is asked for each part; the list of what it can download changes once a day."""

Answered = Mapping[str, object]
"""Fields of `NodeFacts`, `parts_at` among them."""


class LastingFacts:
    """The answers of one cluster's nodes that need not be asked for now."""

    def __init__(self) -> None:
        self._parts: dict[tuple[str, str], tuple[Deadline, NodeFacts]] = {}
        self._forgotten_at: Moment | None = None

    def fresh(self) -> Mapping[str, Answered]:
        """Return what each node need not be asked for."""
        answers: dict[str, dict[str, object]] = {}
        for (node, part), (due, facts) in self._parts.items():
            if not due.has_passed:
                answer = answers.setdefault(node, {"parts_at": {}})
                answer |= {name: getattr(facts, name) for name in FIELDS_OF_PART[part]}
                answer["parts_at"] = {**times_of(answer), part: facts.parts_at[part]}
        return answers

    def note(self, facts: NodeFacts) -> None:
        """Keep what a node has answered just now; what is missing is asked for again."""
        for part, every in EVERY.items():
            at = facts.parts_at.get(part)
            known = self._parts.get((facts.node, part))
            is_new = known is None or known[1].parts_at[part] != at
            # A round that had begun before everything was forgotten still has the old answers.
            is_old = at is None or (self._forgotten_at is not None and at < self._forgotten_at)
            if is_new and not is_old:
                self._parts[facts.node, part] = Deadline(every.total_seconds()), facts

    def forget(self) -> None:
        """Let everything be asked for again."""
        self._parts.clear()
        self._forgotten_at = clock.now()


def times_of(answer: Answered) -> Mapping[str, Moment]:
    """Return when each part of an answer was given."""
    times = answer["parts_at"]
    return times if isinstance(times, Mapping) else {}
