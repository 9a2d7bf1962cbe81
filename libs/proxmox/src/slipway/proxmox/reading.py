"""Read answers as values; one unreadable value never costs more than itself.

Theory of operation. A row of a list is read by itself. A value in it that can't be read is left out, as if
Proxmox had not sent it; only a row without what is essential to it (a guest's VMID, a storage's name) is left
out as a whole. An answer that is not a list at all, or one single thing without its essentials, is an error.
Everything that was left out is noted, so that it is counted, and said.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TypeVar

from pydantic import ValidationError

from slipway.proxmox.answers import Node, ResourceGuest, Resources
from slipway.proxmox.errors import ProxmoxFailed
from slipway.proxmox.fields import Answer
from slipway.proxmox.wire import Reply

AnswerT = TypeVar("AnswerT", bound=Answer)

_MOST_KEYS = 12
_GUEST_TYPES = frozenset({"lxc", "qemu"})
_GUEST_IDS = ("lxc/", "qemu/")
_VARIABLE = re.compile(
    r"(?:(?<=/nodes/)|(?<=/storage/)|(?<=/tasks/)|(?<=/snapshot/)|(?<=/lxc/)|(?<=/qemu/))[^/]+"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Unreadable:
    """A part of an answer that could not be read."""

    endpoint: str
    """`/nodes/*/storage`."""
    value: str | None
    """The field's name; None when the whole row was left out."""
    found: str
    """The type of the value, never the value: it may be a secret."""


NoteUnreadable = Callable[[Unreadable], None]


def ignore_unreadable(_: Unreadable) -> None:
    """Ignore it."""


class Reader:
    """Reads answers, and notes what it can't read."""

    def __init__(self, note: NoteUnreadable) -> None:
        self._note = note

    def one(self, kind: type[AnswerT], reply: Reply) -> AnswerT:
        """Read an answer that is one value."""
        answer = self._row(kind, reply.data, reply.path)
        if answer is None:
            raise not_understood(reply, f"it lacks what every {kind.__name__} has")
        return answer

    def every(self, kind: type[AnswerT], reply: Reply) -> tuple[AnswerT, ...]:
        """Read an answer that is a list."""
        return self.rows(kind, reply)[0]

    def rows(self, kind: type[AnswerT], reply: Reply) -> tuple[tuple[AnswerT, ...], int]:
        """Read an answer that is a list; return the readable rows and the number of unreadable ones."""
        rows = list_of(reply)
        answers = tuple(each for row in rows if (each := self._row(kind, row, reply.path)) is not None)
        return answers, len(rows) - len(answers)

    def _row(self, kind: type[AnswerT], row: object, path: str) -> AnswerT | None:
        left_out: dict[str, object] = {}
        while True:
            values = row
            if left_out and isinstance(row, Mapping):
                values = {name: value for name, value in row.items() if name not in left_out}
            try:
                answer = kind.model_validate(values)
            except ValidationError as error:
                odd = _values(row, error) if isinstance(row, Mapping) else {}
                if not odd.keys() - left_out.keys():
                    self._note(Unreadable(endpoint=endpoint_of(path), value=None, found=_row_kind(row)))
                    return None
                left_out |= odd
            else:
                for name, value in left_out.items():
                    self._note(Unreadable(endpoint=endpoint_of(path), value=name, found=type(value).__name__))
                return answer


def read_resources(reader: Reader, reply: Reply) -> Resources:
    """Read `/cluster/resources`: whatever has a VMID is a guest, since it has it in use."""
    rows = list_of(reply)
    nodes = [row for row in rows if _type_of(row) == "node"]
    guests, lost = reader.rows(ResourceGuest, replace(reply, data=[row for row in rows if _is_guest(row)]))
    return Resources(guests=guests, nodes=reader.every(Node, replace(reply, data=nodes)), lost=lost)


def list_of(reply: Reply) -> list[object]:
    """Return an answer's rows; an answer without data has none.

    Raises:
        ProxmoxFailed: it is something else.
    """
    if reply.data is None:
        return []
    if not isinstance(reply.data, list):
        raise not_understood(reply, "it should be a list")
    return reply.data


def not_understood(reply: Reply, why: str) -> ProxmoxFailed:
    """Return the error of an answer that can't be read at all."""
    return ProxmoxFailed(
        f"Slipway does not understand what Proxmox answers to {reply.path}: {why}.", path=reply.path
    )


def endpoint_of(path: str) -> str:
    """Return a path without what differs between hosts: `/nodes/*/lxc/*/config`."""
    return _VARIABLE.sub("*", path)


def _type_of(row: object) -> str:
    return str(row.get("type")) if isinstance(row, Mapping) else ""


def _is_guest(row: object) -> bool:
    """Return whether a row is a guest, or may be one."""
    if not isinstance(row, Mapping):
        return True
    return _type_of(row) in _GUEST_TYPES or "vmid" in row or str(row.get("id")).startswith(_GUEST_IDS)


def _values(row: Mapping[str, object], error: ValidationError) -> dict[str, object]:
    """Return the values of a row that an error is about."""
    names = {str(each["loc"][0]) for each in error.errors() if each["loc"]}
    return {name: row[name] for name in names if name in row}


def _row_kind(row: object) -> str:
    if not isinstance(row, Mapping):
        return type(row).__name__
    return f"a row with {', '.join(sorted(map(str, row))[:_MOST_KEYS]) or 'nothing'}"
