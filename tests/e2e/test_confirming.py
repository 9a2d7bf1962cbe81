"""Nothing is destroyed by a command that nobody has confirmed."""

import json
import secrets

import httpx
import pytest

from support.command_line import slipway
from support.stack import RunningStack, create, done, job_events

WRONG_INPUT = 2


@pytest.mark.timeout(300)  # a dozen processes, one after the other
async def test_without_a_terminal_what_destroys_needs_yes(
    stack: RunningStack, api: httpx.AsyncClient
) -> None:
    """One and many, a first and a second try: refused with what to add, and no job is made."""
    name = f"stored-{secrets.token_hex(3)}"
    accepted = await create(api, template="debian-base", hostname=name)
    await job_events(api, accepted["job"]["id"])
    path = f"containers/{accepted['container']['id']}"
    await done(api, f"{path}/snapshot", {"snapshot": "before"})
    failed = await api.post(f"/api/v1/{path}/rollback", json={"snapshot": "nothing"})
    await job_events(api, failed.json()["job"]["id"])
    chosen = f"name:{name}"
    before = await _jobs(api)

    refused = {
        arguments: await slipway(stack, *arguments)
        for arguments in (
            ("delete", name),
            ("delete", name, "--cancel"),
            ("rollback", name, "before"),
            ("snapshot-delete", name, "before"),
            (
                "container",
                "restore",
                name,
                f"local:backup/vzdump-lxc-{accepted['container']['vmid']}-2026.tar.zst",
            ),
            ("retry", failed.json()["job"]["id"]),
            ("cancel", failed.json()["job"]["id"], "--destroy"),
            ("jobs", "run", "delete", chosen),
            ("jobs", "run", "rollback", chosen, "--set", "snapshot=before"),
            ("jobs", "run", "snapshot-delete", chosen, "--set", "snapshot=before"),
        )
    }
    still = await _jobs(api)
    agreed = await slipway(stack, "rollback", name, "before", "--yes")

    for arguments, (status, output) in refused.items():
        assert (status, "Add --yes to do it" in output) == (WRONG_INPUT, True), (arguments, output)
        assert output.splitlines()[-1].startswith("slipway: "), (arguments, output)
    assert still == before
    assert agreed[0] == 0, agreed[1]


@pytest.mark.timeout(200)
async def test_a_retry_of_many_is_shown_and_confirmed(stack: RunningStack, api: httpx.AsyncClient) -> None:
    """The plan that is shown is the one that is done: its hash goes along."""
    name = f"again-{secrets.token_hex(3)}"
    accepted = await create(api, template="debian-base", hostname=name)
    await job_events(api, accepted["job"]["id"])
    body = {"kind": "container.rollback", "selection": f"name:{name}", "args": {"snapshot": "nothing"}}
    plan = (await api.post("/api/v1/jobs?plan=true", json=body)).json()
    batch = (await api.post("/api/v1/jobs", json={**body, "plan": plan["hash"]})).json()["job"]["id"]
    await job_events(api, batch)

    planned = await slipway(stack, "retry", batch, "--plan")
    refused = await slipway(stack, "retry", batch)
    agreed = await slipway(stack, "retry", batch, "--yes")

    assert (planned[0], name in planned[1], "LOST: " in planned[1]) == (0, True, True), planned[1]
    assert refused[0] == WRONG_INPUT, refused[1]
    assert "plan.needed" not in agreed[1]
    newest = (await api.get("/api/v1/jobs", params={"kind": "batch"})).json()["items"][0]
    assert (newest["retry_of"], agreed[0]) == (batch, 1), json.dumps(newest)


async def _jobs(api: httpx.AsyncClient) -> list[str]:
    return [each["id"] for each in (await api.get("/api/v1/jobs", params={"limit": 20})).json()["items"]]
