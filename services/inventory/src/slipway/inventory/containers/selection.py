"""Which containers a selection means. Pure: the text and the containers are arguments.

`101,105-110,tag:prod+node:pve1,name:web-*`: a comma adds what its parts mean; within a part, `+` or a space
narrows to what all its terms mean. A VMID counts in every cluster unless `cluster:NAME` narrows it.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from slipway.contracts.message import Id
from slipway.contracts.problems import Invalid
from slipway.inventory.containers.defaults import FIRST_VMID, LAST_VMID
from slipway.inventory.faults import at

WORDS = ("tag", "node", "template", "name", "cluster")
"""Words before a colon; the value of `name` may have `*` and `?`; case does not count in `name` and `tag`."""
MOST_PARTS = 200
_NARROWS = re.compile(r"\s+(?:\+\s*)?|\+(?=[A-Za-z]+:)")
_VMIDS = re.compile(r"(\d{1,10})(?:-(\d{1,10}))?")


class SelectionInvalid(Invalid):
    """The selection can't be read, or means nothing."""

    code = "selection.invalid"


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """The fields of a living container that selections compare."""

    id: Id
    vmid: int
    hostname: str
    cluster: str
    """By name."""
    node: str
    template: str | None
    tags: frozenset[str]


@dataclass(frozen=True, slots=True)
class Term:
    """One condition: a word and its value, or a range of VMIDs."""

    word: str
    value: str = ""
    first: int = 0
    last: int = 0

    def means(self, one: Candidate) -> bool:
        """Return whether a container fits."""
        match self.word:
            case "vmid":
                return self.first <= one.vmid <= self.last
            case "tag":
                return self.value.lower() in {tag.lower() for tag in one.tags}
            case "name":
                return fnmatchcase(one.hostname.lower(), self.value.lower())
            case word:
                return bool(getattr(one, word) == self.value)


Part = tuple[Term, ...]


def parse(text: str) -> tuple[Part, ...]:
    """Read a selection.

    Raises:
        SelectionInvalid: names every part that can't be read.
    """
    written = [part.strip() for part in text.split(",")]
    if len(written) > MOST_PARTS:
        raise refused(f"It has {len(written)} parts; {MOST_PARTS} are the most.")
    faults: list[str] = []
    parts: list[Part] = []
    for number, part in enumerate(written, start=1):
        try:
            parts.append(tuple(_term(each) for each in _NARROWS.split(part)))
        except ValueError as error:
            faults.append(f"Part {number} ({part!r}): {error}")
    if faults:
        raise refused(" ".join(faults))
    return tuple(parts)


def chosen(parts: Sequence[Part], among: Iterable[Candidate]) -> tuple[Candidate, ...]:
    """Return the containers that any part means, by cluster and VMID."""
    selected = [one for one in among if any(all(term.means(one) for term in part) for part in parts)]
    return tuple(sorted(selected, key=lambda one: (one.cluster, one.vmid, one.id)))


def missing(parts: Sequence[Part], selected: Iterable[Candidate]) -> tuple[int, ...]:
    """Return the VMIDs that were named one by one and that no container has."""
    named = {part[0].first for part in parts if len(part) == 1 and _is_single(part[0])}
    return tuple(sorted(named - {one.vmid for one in selected}))


def refused(message: str) -> SelectionInvalid:
    """Return the error that names the field."""
    return at("selection", SelectionInvalid, message)


def _is_single(term: Term) -> bool:
    return term.word == "vmid" and term.first == term.last


def _term(text: str) -> Term:
    if not text:
        raise ValueError("it is empty; write a VMID, a range of them, or WORD:VALUE.")
    if numbers := _VMIDS.fullmatch(text):
        return _range(int(numbers[1]), int(numbers[2] or numbers[1]))
    word, colon, value = text.partition(":")
    if not colon or word not in WORDS:
        raise ValueError(f"{text!r} is neither a VMID, a range like 105-110, nor one of {_words()}.")
    if not value:
        raise ValueError(f"{word}: wants a value after the colon.")
    return Term(word, value)


def _range(first: int, last: int) -> Term:
    if not FIRST_VMID <= first <= last <= LAST_VMID:
        raise ValueError(f"VMIDs go from {FIRST_VMID} to {LAST_VMID}, and a range upwards.")
    return Term("vmid", first=first, last=last)


def _words() -> str:
    return ", ".join(f"{word}:..." for word in WORDS)
