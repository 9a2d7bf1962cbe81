"""The lab from outside: its faults ordered, its containers and tasks looked at, as root over HTTPS."""

import asyncio
import json
import ssl
from pathlib import Path
from typing import Any

from slipway.lab.faults.scope import Fault
from support.clients import http_client

API = "/api2/json"
FOREIGN = "someone-elses"
"""How the lab calls the container of a `VmidTaken` order."""
GONE_SECONDS = 20.0


class Host:
    """The pretend Proxmox node of a running stack."""

    def __init__(self, data: Path) -> None:
        access = json.loads((data / "lab" / "lab.json").read_text())
        secret = Path(access["root_token_secret_file"]).read_text().strip()
        self._name = access["name"]
        self._user = access["token_id"]
        self._client = http_client(
            base_url=access["endpoint"],
            headers={"Authorization": f"PVEAPIToken={access['root_token_id']}={secret}"},
            verify=ssl.create_default_context(cafile=access["certificate_file"]),
            timeout=30,
        )

    async def aclose(self) -> None:
        """Hang up."""
        await self._client.aclose()

    async def order(self, fault: Fault) -> str:
        """Order a fault; its id."""
        answer = await self._client.post("/lab/faults", content=fault.model_dump_json())
        assert answer.is_success, answer.text
        return str(answer.json()["data"]["id"])

    async def stands(self, order: str) -> bool:
        """Whether an order may still happen."""
        answer = await self._client.get("/lab/faults")
        return any(each["id"] == order for each in answer.json()["data"])

    async def clear(self, order: str | None = None) -> None:
        """Take an order back, or all."""
        await self._client.delete("/lab/faults", params={"id": order} if order else {})

    async def foreigners(self) -> set[int]:
        """Return the VMIDs that `VmidTaken` orders have taken."""
        guests = await self._get(f"/nodes/{self._name}/lxc")
        return {int(each["vmid"]) for each in guests if each.get("name") == FOREIGN}

    async def remove(self, vmid: int) -> None:
        """Remove a container as someone by hand would, and wait until it is gone."""
        answer = await self._client.delete(f"{API}/nodes/{self._name}/lxc/{vmid}")
        assert answer.is_success, (answer.status_code, answer.text)
        async with asyncio.timeout(GONE_SECONDS):
            while vmid in await self.foreigners():  # noqa: ASYNC110 - another program's state
                await asyncio.sleep(0.1)

    async def containers(self) -> list[dict[str, Any]]:
        """Return what exists on the node, each with its notes; a fault that stands may not touch this."""
        guests = await self._get(f"/nodes/{self._name}/lxc")
        for each in guests:
            config = await self._get(f"/nodes/{self._name}/lxc/{each['vmid']}/config")
            each["description"] = config.get("description", "")
            each["lock"] = config.get("lock")
            each["config"] = {key: str(value) for key, value in config.items()}
        return list(guests)

    async def tasks(self) -> list[dict[str, Any]]:
        """Return every task that Slipway's own account has begun."""
        params = "limit=100000&source=all"
        tasks = await self._get(f"/nodes/{self._name}/tasks?{params}")
        return [each for each in tasks if self._user.startswith(each["user"].partition("!")[0])]

    async def _get(self, path: str) -> Any:
        """Ask, and once more if a container went away in the middle of the list."""
        answer = await self._client.get(f"{API}{path}")
        if not answer.is_success:
            answer = await self._client.get(f"{API}{path}")
        assert answer.is_success, (path, answer.status_code, answer.text)
        return answer.json()["data"]
