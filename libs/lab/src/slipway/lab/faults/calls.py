"""Orders about calls of the API: their answers, who may ask, and what lists show."""

from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Any, Literal

from slipway.lab.faults.order import Order, State


class CallOrder(Order):
    """An order about the calls of a method and a path."""

    method: str = "*"
    """`POST`, or `*` for any."""
    path: str = "*"
    """Below `/api2/json`, with `*` as wildcard: `/nodes/*/lxc`."""

    def fits(self, method: str, path: str) -> bool:
        """Whether a call is meant."""
        return self.method in ("*", method) and fnmatchcase(path, self.path)


class ApiError(CallOrder):
    """Answer with an error instead of acting; 595 and 596 have no body, as pveproxy's own."""

    kind: Literal["api-error"] = "api-error"
    status: int = 500
    message: str = "got no worker upid - start worker failed"


class LostAnswer(CallOrder):
    """Act, then drop the connection without an answer."""

    kind: Literal["lost-answer"] = "lost-answer"


class SlowAnswer(CallOrder):
    """Act, then answer late."""

    kind: Literal["slow-answer"] = "slow-answer"
    seconds: float | None
    """None: never; pveproxy gives up for it after 30 seconds and answers 596."""


class ForeignRows(State):
    """Show rows in a list that the lab would not have: guests of other types, unknown kinds of things.

    VMIDs of `qemu` and `lxc` rows in `/cluster/resources` are taken.
    """

    kind: Literal["foreign-rows"] = "foreign-rows"
    path: str = "/cluster/resources"
    rows: tuple[Mapping[str, Any], ...]


class ChangedRows(State):
    """Show rows of a list, or an object, otherwise than they are: other values, missing keys."""

    kind: Literal["changed-rows"] = "changed-rows"
    path: str = "/cluster/resources"
    where: Mapping[str, Any] = {}
    """What a row has to have: `{"id": "lxc/100"}`; empty for every row."""
    values: Mapping[str, Any] = {}
    """What it shows instead; null is a value."""
    without: tuple[str, ...] = ()
    """Keys that it does not have."""


class TokenExpired(State):
    """Refuse tokens as Proxmox does when they are expired, removed or renewed: 401 after its delay."""

    kind: Literal["token-expired"] = "token-expired"
    token: str = "slipway@pve!*"  # noqa: S105 - a name
    """Its id, with `*` as wildcard."""


class RightsTaken(State):
    """Take rights away from tokens: calls are refused, and lists leave out what may not be seen."""

    kind: Literal["rights-taken"] = "rights-taken"
    token: str = "slipway@pve!*"  # noqa: S105 - a name
    path: str = "*"
    """Where: `/vms`, `/storage/local`, with `*` as wildcard."""
    rights: tuple[str, ...] = ()
    """Which: `VM.Audit`; empty for all."""
