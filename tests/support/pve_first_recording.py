"""What belongs to the first recording, of logins, creation and power: as root and as a token that grows."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import httpx

from slipway.lab.access.actors import VM_PRIVILEGES
from slipway.lab.faults import NeverStops, TaskHangs
from slipway.lab.node import Lab
from support.lab import ended, ssh_client, until
from support.pve_replay import Exchange, Player

NOBODY = {"Cookie": "", "CSRFPreventionToken": ""}


@dataclass(frozen=True, slots=True)
class FirstRecording:
    """See `pve_replay.Log`."""

    acl: dict[str, frozenset[str]]
    """The token's rights, which the job log changes."""
    aside: Mapping[int, str] = field(
        default_factory=lambda: {
            **dict.fromkeys(
                range(101, 116), "the recorded client ran into its own creation, still under way"
            ),
            231: "needs a node that cannot send mail",
            398: "shows averages of times at which the lab's guest was there and the recorded one was not",
            90: "asks for a task from before the recording",
            91: "asks for a task from before the recording",
        }
    )

    def headers(self, player: Player, exchange: Exchange) -> dict[str, str]:
        """Log in as the label says; else as root, whose ticket the client has."""
        token = f"PVEAPIToken={player.lab.token_id}={player.lab.token_secret}"
        special = {
            "no auth": NOBODY,
            "root no auth": NOBODY,
            "bad ticket": NOBODY | {"Cookie": "PVEAuthCookie=PVE:root@pam:00000000::nonsense"},
            "POST w/o csrf": {"CSRFPreventionToken": ""},
            "POST bad csrf": {"CSRFPreventionToken": "00000000:nonsense"},
            "auth header ticket": NOBODY | {"Authorization": f"PVEAuthCookie={player.ticket}"},
            "bad secret": NOBODY | {"Authorization": f"{token}0"},
            "bad tokid": NOBODY | {"Authorization": "PVEAPIToken=nobody@pve!no=x"},
            "garbage tok": NOBODY | {"Authorization": "PVEAPIToken=garbage"},
            "colon sep": NOBODY | {"Authorization": token.replace("=", ":")},
        }
        if exchange.label.startswith("tok "):
            self._grant(exchange.number)
            return NOBODY | {"Authorization": token}
        return special.get(exchange.label, {})

    async def before(self, player: Player, exchange: Exchange) -> None:
        """Wait, unlock and order faults where the recorded node was held up."""
        lab = player.lab
        match exchange.number:
            case 144:
                await _until_running(lab, 171)
            case 207 | 217:
                async with ssh_client(lab) as root:
                    await root.run("pct unlock 100", check=True)
            case 233:
                await _until_unlocked(lab, 100)
            case 237:
                lab.faults.order(TaskHangs(task="vzcreate", seconds=0.3))
            case 246:
                lab.faults.order(TaskHangs(task="vzstart", seconds=0.5))
            case 268 | 298:
                lab.faults.order(TaskHangs(task="vzcreate", seconds=1.5))
            case 276 | 289:
                lab.faults.order(NeverStops(vmid=200))
            case 287 | 291:
                lab.faults.clear()
            case _:
                pass

    def _grant(self, number: int) -> None:
        """Give the token what it had been given by then."""
        self.acl.clear()
        if number >= 84:
            self.acl["/"] = VM_PRIVILEGES
        if number >= 86:
            self.acl["/"] = VM_PRIVILEGES | {
                "Datastore.Allocate", "Datastore.AllocateSpace", "Datastore.Audit", "SDN.Use", "Sys.Audit"
            }  # fmt: skip


async def prepare(lab: Lab, client: httpx.AsyncClient) -> None:
    """Bring the lab to where the recording begins: an OS template and container 100."""
    template = await download(client)
    options = {
        "vmid": 100, "ostemplate": template, "rootfs": "local:2", "hostname": "ct1",
        "memory": 512, "swap": 0, "cores": 1, "tags": "a;b", "description": "hello", "features": "nesting=1",
        "net0": "name=eth0,bridge=vmbr0,gw=10.231.17.1,ip=10.231.17.50/24",
    }  # fmt: skip
    upid = (await client.post("/nodes/pve1/lxc", data=options)).json()["data"]
    assert await ended(client, upid) == "OK"

    async def is_seen() -> bool:
        return "unknown" not in (await client.get("/cluster/resources?type=vm")).text

    await until(is_seen)


async def download(client: httpx.AsyncClient) -> str:
    """Bring the OS template that the recordings use; give its name as a volume."""
    template = "debian-12-standard_12.12-1_amd64.tar.zst"
    params = {"storage": "local", "template": template}
    upid = (await client.post("/nodes/pve1/aplinfo", data=params)).json()["data"]
    assert await ended(client, upid) == "OK"
    return f"local:vztmpl/{template}"


async def _until_running(lab: Lab, vmid: int) -> None:
    """Wait for the start that a creation with `start=1` left to a task of its own."""
    async with ssh_client(lab) as root:

        async def is_running() -> bool:
            return "running" in str((await root.run(f"pct status {vmid}")).stdout)

        await until(is_running)


async def _until_unlocked(lab: Lab, vmid: int) -> None:
    """Wait for the end of a backup, whose own end is not played."""
    async with ssh_client(lab) as root:

        async def is_unlocked() -> bool:
            return "lock:" not in str((await root.run(f"pct config {vmid}")).stdout)

        await until(is_unlocked)
