"""`pvesh` and `pveam`, as far as a script on the node needs them: reading the API as root, and OS templates.

Not recorded from a real node: written by the manual pages of PVE 9. What is not here is refused.
"""

import json
from collections.abc import Sequence

from slipway.lab.api.dispatch import Api
from slipway.lab.problems import Refused
from slipway.lab.ssh.pct import FAILED, OK, Usage, read_options
from slipway.lab.ssh.programs import Program
from slipway.lab.ssh.streams import Streams

_APPLIANCES = "/nodes/localhost/aplinfo"


class NodeTools:
    """The two programs of one node."""

    def __init__(self, api: Api) -> None:
        self._api = api

    async def pvesh(self, arguments: Sequence[str], streams: Streams) -> int:
        """Run `pvesh get PATH ... --output-format json`."""
        return await _run("pvesh get <api_path> [OPTIONS] [FORMAT_OPTIONS]", self._get, arguments, streams)

    async def pveam(self, arguments: Sequence[str], streams: Streams) -> int:
        """Run `pveam update`, `pveam available` or `pveam download STORAGE TEMPLATE`."""
        return await _run("pveam <COMMAND> [ARGS] [OPTIONS]", self._appliances, arguments, streams)

    async def _get(self, arguments: Sequence[str], streams: Streams) -> int:
        verb, path, *rest = [*arguments, "", ""]
        options = read_options([each for each in rest if each])
        if verb != "get" or options.pop("output-format", "text") != "json":
            raise Usage("ERROR: the lab has only `pvesh get PATH --output-format json`")
        await streams.out(f"{json.dumps(await self._api.as_root('GET', path, options))}\n".encode())
        return OK

    async def _appliances(self, arguments: Sequence[str], streams: Streams) -> int:
        match list(arguments):
            case ["update"]:
                await streams.out(b"update successful\n")
            case ["available", *rest]:
                section = read_options(rest).get("section")
                for row in await self._api.as_root("GET", _APPLIANCES, {}):
                    if section in (None, row["section"]):
                        await streams.out(f"{row['section']:<15} {row['template']}\n".encode())
            case ["download", storage, template]:
                wanted = {"storage": storage, "template": template}
                return await self._end_of(await self._api.as_root("POST", _APPLIANCES, wanted), streams)
            case _:
                raise Usage("ERROR: unknown command, or one that the lab does not have")
        return OK

    async def _end_of(self, upid: str, streams: Streams) -> int:
        lines, status = await self._api.end_of(upid)
        await streams.out("".join(f"{line}\n" for line in lines[:-1]).encode())
        if status != "OK":
            await streams.err(f"{status}\n".encode())
        return OK if status == "OK" else FAILED


async def _run(usage: str, program: Program, arguments: Sequence[str], streams: Streams) -> int:
    try:
        return await program(arguments, streams)
    except Refused as refused:
        return await _refuse(refused, streams)
    except Usage as error:
        await streams.err(f"{error}\n{usage}\n".encode())
        return FAILED


async def _refuse(refused: Refused, streams: Streams) -> int:
    faults = [f"{name}: {words}" for name, words in (refused.errors or {}).items()]
    status = f"{refused.status} " if faults else ""
    await streams.err("\n".join([f"{status}{refused.message}", *faults, ""]).encode())
    return FAILED
