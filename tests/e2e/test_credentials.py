"""What a script saves is shown whole, wherever it is shown."""

import json

import httpx

from support.command_line import slipway
from support.stack import RunningStack, create, job_events

SAVED = {"saving/key": "two  words\r\nline2=abc\n=== other", "saving/a.c": "two  words"}


async def test_credential_of_several_lines(stack: RunningStack, api: httpx.AsyncClient) -> None:
    """Neither the guest, nor the API, nor the command line takes anything from it, or makes two of it."""
    accepted = await create(api, template="saving", hostname="saving")
    events = await job_events(api, accepted["job"]["id"])
    path = f"/api/v1/containers/{accepted['container']['id']}"
    credentials = (await api.get(path)).json()["credentials"]

    shown = {
        each["name"]: (await api.post(f"{path}/credentials/{each['id']}/reveal")).json()["value"]
        for each in credentials
    }
    whole = await slipway(stack, "reveal", "saving", "saving/key", "-o", "name")
    rows = await slipway(stack, "reveal", "saving")

    assert events[-1].content["state"] == "succeeded", events[-1].text
    assert {name: value for name, value in shown.items() if name != "root/password"} == SAVED
    assert whole == (0, SAVED["saving/key"] + "\n")
    table = dict(line.split("\t") for line in rows[1].splitlines())
    assert json.loads(table["saving/key"]) == SAVED["saving/key"]
    assert table["saving/a.c"] == SAVED["saving/a.c"]
