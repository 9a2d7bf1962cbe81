"""What belongs to the second recording, of config, backups and answers of a token with Slipway's roles.

The recording has every other exchange of what was done: the others are done here, unseen.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from slipway.lab.faults import TaskHangs
from support.lab import until
from support.pve_replay import UPID, Exchange, Player

CONTAINER = "/nodes/pve1/lxc/7001"
ARCHIVE = "vzdump-lxc-7001-2026_11_28-16_11_49.tar.zst"
AT_ONCE = (4, 5)
"""Asked while the task before it still runs."""
AS_ROOT = frozenset({"PUT features root"})
CREATION = {
    "vmid": 7003, "ostemplate": "local:vztmpl/debian-12-standard_12.12-1_amd64.tar.zst", "storage": "local",
    "hostname": "cap2", "memory": 256, "features": "nesting=1", "net0": "name=eth0,bridge=vmbr0,ip=dhcp",
    "unprivileged": 1,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Unseen:
    """A request that is not in the recording, by the token unless said otherwise."""

    method: str
    path: str
    parameters: Mapping[str, Any] = field(default_factory=dict)
    as_root: bool = False


def _set(**parameters: Any) -> Unseen:
    return Unseen("PUT", f"{CONTAINER}/config", parameters)


_ATTRIBUTES = f"/nodes/pve1/storage/local/content/local:backup/{ARCHIVE}"
_REMOVAL = Unseen("DELETE", "/nodes/pve1/lxc/7003", {"force": 1})
UNSEEN: Mapping[int, tuple[Unseen, ...]] = {
    17: (_set(tags="a;b;c"), _set(onboot=1), _set(cpuunits=77), _set(memory=300)),
    22: (_set(protection=1),),
    39: (_set(net0="name=lan0,bridge=vmbr0,ip=dhcp"), _set(mp0="local:1,mp=/data")),
    49: (_set(delete="mp0"),),
    76: (Unseen("POST", f"{CONTAINER}/snapshot/s1/rollback"),),
    81: (Unseen("POST", "/nodes/pve1/vzdump", {"vmid": 7001, "storage": "nost"}),),
    84: (Unseen("PUT", _ATTRIBUTES, {"notes": "neu ü", "protected": 1}),),
    86: (Unseen("PUT", _ATTRIBUTES, {"protected": 0}),),
    103: (Unseen("POST", "/nodes/pve1/lxc", CREATION | {"net0": "name=eth0,bridge=vmbr9,ip=dhcp"}),),
    104: (_REMOVAL, Unseen("POST", "/nodes/pve1/lxc", CREATION | {"rootfs": "local:0"})),
    105: (_REMOVAL,),
    108: (_REMOVAL,),
    110: (_REMOVAL,),
    112: (_REMOVAL,),
    125: (Unseen("DELETE", CONTAINER),),
}


@dataclass(frozen=True, slots=True)
class SecondRecording:
    """See `pve_replay.Log`."""

    aside: Mapping[int, str] = field(
        default_factory=lambda: {
            142: "asks for a task of a call that is not in use",
            143: "what was sent, as text/plain, is not recorded; `test_surface` sends some",
        }
    )

    def headers(self, player: Player, exchange: Exchange) -> dict[str, str]:
        """Log in with the token, but for what only root may."""
        if exchange.label == "bad ctype":
            return self._token(player) | {"Content-Type": "text/plain"}
        return {} if exchange.label in AS_ROOT else self._token(player)

    def _token(self, player: Player) -> dict[str, str]:
        token = f"PVEAPIToken={player.lab.token_id}={player.lab.token_secret}"
        return {"Cookie": "", "CSRFPreventionToken": "", "Authorization": token}

    async def before(self, player: Player, exchange: Exchange) -> None:
        """Let tasks end, and do what was done unseen."""
        number = exchange.number
        if number not in AT_ONCE:
            await self._rest(player)
        if number == 3:
            player.lab.faults.order(TaskHangs(task="vzstart", seconds=1.0))
        if number == 84:
            await self._learn_archive(player)
        for one in UNSEEN.get(number, ()):
            login = {} if one.as_root else self._token(player)
            done = await player.unseen(one.method, player.named(one.path), one.parameters, login)
            await self._rest(player)
            if isinstance(done, str) and (recorded := UPID.search(exchange.path)):
                player.names[recorded[0]] = done

    async def _rest(self, player: Player) -> None:
        async def is_at_rest() -> bool:
            return not await player.unseen("GET", "/nodes/pve1/tasks", {"source": "active"})

        await until(is_at_rest)

    async def _learn_archive(self, player: Player) -> None:
        content = "/nodes/pve1/storage/local/content"
        rows = await player.unseen("GET", content, {"content": "backup"})
        player.names[ARCHIVE] = rows[0]["volid"].rpartition("/")[2]
