"""Selections: searches whose containers are changed. Pure.

The grammar is that of `search`, with one rule more: each part says by a VMID or by WORD:VALUE what is meant.
A text, which also finds notes, and what is left out with `-` only narrow it.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from slipway.contracts.message import Id
from slipway.contracts.problems import Invalid
from slipway.inventory.containers.conditions import as_written, single_vmid
from slipway.inventory.containers.search import Unreadable, parse
from slipway.inventory.containers.terms import TEXT, Part, Search
from slipway.inventory.containers.validation.texts import shown
from slipway.inventory.faults import at


class SelectionInvalid(Invalid):
    """The selection can't be read, or means nothing."""

    code = "selection.invalid"


@dataclass(frozen=True, slots=True, kw_only=True)
class Selected:
    """A living container that a selection means."""

    id: Id
    vmid: int
    cluster_id: Id
    cluster: str
    """By name."""


def read_selection(text: str) -> Search:
    """Read a selection.

    Raises:
        SelectionInvalid: names every place that can't be read.
    """
    try:
        search = parse(text)
    except Unreadable as error:
        raise refused(str(error)) from error
    for part in search:
        if not any(term.word != TEXT and not term.is_negated for term in part):
            raise refused(_unnamed(part))
    return search


def missing(search: Search, selected: Iterable[Selected]) -> tuple[int, ...]:
    """Return the VMIDs that were named one by one, at most with their cluster, and that nothing there has."""
    has = [(one.vmid, {one.cluster, one.cluster_id}) for one in selected]
    absent: set[int] = set()
    for part in search:
        if all(term.word in {"vmid", "cluster"} and not term.is_negated for term in part):
            within = [set(term.values) for term in part if term.word == "cluster"]
            vmids = [single_vmid(value) for term in part if term.word == "vmid" for value in term.values]
            found = {vmid for vmid, cluster in has if all(cluster & names for names in within)}
            absent |= {vmid for vmid in vmids if vmid is not None} - found
    return tuple(sorted(absent))


def refused(message: str) -> SelectionInvalid:
    """Return the error that names the field."""
    return at("selection", SelectionInvalid, message)


def _unnamed(part: Part) -> str:
    texts = [term.values[0] for term in part if term.word == TEXT and not term.is_negated]
    what = (
        f"The text {shown(as_written(texts[0]))} alone"
        if texts
        else "A part in which all terms begin with '-'"
    )
    return (
        f"{what} does not say which containers are to be changed. Name them by a VMID, a range like 105-110,"
        " or WORD:VALUE, like name:web-*; name:* is all of them."
    )
