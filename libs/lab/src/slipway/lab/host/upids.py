"""Names of tasks: `UPID:node:pid:pstart:starttime:type:id:user:` with hexadecimal numbers (PVE::UPID)."""

import re
from dataclasses import asdict, dataclass
from typing import Any

from slipway.lab.problems import bad_parameters

_UPID = re.compile(
    r"UPID:([a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?):([0-9A-Fa-f]{8}):([0-9A-Fa-f]{8,9}):([0-9A-Fa-f]{8})"
    r":([^:\s/]+):([^:\s/]*):([^:\s/]+):"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Upid:
    """A task's name, taken apart."""

    node: str
    pid: int
    pstart: int
    starttime: int
    type: str
    id: str
    actor: str
    """The user, or the user with the token: `svc@pve!name`."""

    def __str__(self) -> str:
        return (
            f"UPID:{self.node}:{self.pid:08X}:{self.pstart:08X}:{self.starttime:08X}"
            f":{self.type}:{self.id}:{self.actor}:"
        )

    def fields(self) -> dict[str, Any]:
        """Show it as the API does, user and token apart."""
        user, _, token = self.actor.partition("!")
        shown = {"upid": str(self), **asdict(self), "user": user}
        del shown["actor"]
        return shown | ({"tokenid": token} if token else {})


def parse(text: str) -> Upid:
    """Take a name apart; refuse as Proxmox does if it is none."""
    match = _UPID.fullmatch(text)
    if match is None:
        raise bad_parameters({"upid": "unable to parse worker upid"})
    node, pid, pstart, starttime, kind, subject, actor = match.groups()
    return Upid(
        node=node,
        pid=int(pid, 16),
        pstart=int(pstart, 16),
        starttime=int(starttime, 16),
        type=kind,
        id=subject,
        actor=actor,
    )
