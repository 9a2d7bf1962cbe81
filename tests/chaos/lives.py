"""The jobs: lives that containers lead. A new kind of job is a row of `OPS` and a life that has it."""

import random
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from chaos.model import HostCheck

FIRST_CHOSEN = 7000
"""The lowest VMID that a person chooses; Slipway itself begins at 100."""
SAME = "same"


@dataclass(frozen=True, slots=True, kw_only=True)
class Op:
    """One request that is answered with a job."""

    method: str
    path: str
    """With `{container}` and `{job}` (the last one of this life)."""
    kind: str
    leaves: HostCheck = "present"
    power: str | None = None
    """The container's status afterwards; `SAME` is what it was before."""
    must: str = "succeeded"
    body: Mapping[str, Any] = field(default_factory=dict)
    """What is sent; a clone's name and a restore's backup are put in for `{copy}` and `{backup}`."""
    sets: Mapping[str, str] = field(default_factory=dict)
    """What the container's configuration on the host must say afterwards."""
    keeps: bool = False
    """Whether the state of now is stored, for a later operation that `returns` to it."""
    returns: bool = False


def _verb(verb: str, **more: Any) -> Op:
    """Return what `POST /containers/{container}/VERB` does."""
    return Op(
        method="POST",
        path=f"/containers/{{container}}/{verb}",
        kind=f"container.{verb}",
        **({"power": SAME} | more),
    )


OPS: Mapping[str, Op] = MappingProxyType(
    {
        "create": Op(method="POST", path="/containers", kind="container.create", power="running"),
        "fail": Op(method="POST", path="/containers", kind="container.create", must="failed"),
        "retry": Op(method="POST", path="/jobs/{job}/retry", kind="container.create", power="running"),
        "delete": Op(
            method="DELETE", path="/containers/{container}", kind="container.delete", leaves="absent"
        ),
        "start": _verb("start", power="running"),
        "stop": _verb("stop", power="stopped"),
        "shutdown": _verb("shutdown", power="stopped"),
        "restart": _verb("restart", power="running"),
        "resize": _verb("resize", body={"cores": 2, "memory": 768}, sets={"cores": "2", "memory": "768"}),
        "configure": _verb(
            "configure",
            body={"searchdomain": "chaos.example", "onboot": True},
            sets={"searchdomain": "chaos.example", "onboot": "1"},
        ),
        "snapshot": _verb("snapshot", body={"snapshot": "stored"}, keeps=True),
        "rollback": _verb("rollback", body={"snapshot": "stored"}, power="stopped", returns=True),
        "backup": _verb("backup", keeps=True),
        "restore": _verb("restore", body={"backup": "{backup}"}, returns=True),
        "clone": _verb("clone", body={"hostname": "{copy}"}, power="stopped"),
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Life:
    """A container's life: what it is made of, and what is asked of it in turn."""

    ops: tuple[str, ...]
    template: str
    weight: int = 1
    chooses_vmid: bool = False


LIVES: Sequence[Life] = (
    Life(ops=("create",), template="counting", weight=3),
    Life(ops=("create", "delete"), template="counting", chooses_vmid=True),
    Life(ops=("create", "delete", "create"), template="debian-base", weight=2),
    Life(ops=("create", "delete", "create", "delete"), template="debian-base", chooses_vmid=True),
    Life(ops=("create", "delete"), template="nginx-site", weight=2),
    Life(ops=("fail", "retry", "delete"), template="failing", weight=2),
    Life(ops=("fail", "delete", "fail"), template="failing"),
    Life(ops=("create", "stop", "start", "restart", "shutdown"), template="debian-base", weight=2),
    Life(ops=("create", "restart", "stop", "delete"), template="nginx-site", weight=2),
    Life(ops=("create", "resize", "snapshot", "configure", "rollback", "start"), template="debian-base"),
    Life(ops=("create", "backup", "configure", "restore", "delete"), template="debian-base"),
    Life(ops=("create", "clone", "start", "configure", "delete"), template="debian-base"),
)
"""A second `create` in a life takes the same name again: the deletion before must have freed it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Assignment:
    """A life that is to be led, with its name and its own chance."""

    life: Life
    ops: tuple[str, ...]
    hostname: str
    vmid: int | None
    chance: random.Random

    def body(self) -> dict[str, Any]:
        """Return the request for its container."""
        asked: dict[str, Any] = {"template": self.life.template, "hostname": self.hostname}
        return asked | ({"vmid": self.vmid} if self.vmid else {})


def plan(seed: int, jobs: int, paths: Collection[str]) -> list[Assignment]:
    """Make lives of exactly so many jobs, the same for the same seed and API; the last may end early."""
    chance = random.Random(f"{seed}/lives")
    possible = [life for life in LIVES if all(_is_served(OPS[op], paths) for op in life.ops)]
    made: list[Assignment] = []
    left = jobs
    while left > 0:
        bag = [life for life in possible for _ in range(life.weight)]
        chance.shuffle(bag)
        for life in bag:
            ops = life.ops[:left]
            if ops:
                left -= len(ops)
                number = len(made)
                vmid = FIRST_CHOSEN + number if life.chooses_vmid else None
                own = random.Random(f"{seed}/{number}")
                name = f"chaos-{seed}-{number}"
                made.append(Assignment(life=life, ops=ops, hostname=name, vmid=vmid, chance=own))
    return made


def _is_served(op: Op, paths: Collection[str]) -> bool:
    above = op.path.rpartition("/")[0]
    return f"/api/v1{op.path}" in paths or f"/api/v1{above}/{{verb}}" in paths
