"""The runtime's own command lines: keys and the topology."""

import asyncio
import os
import subprocess
import sys
from pathlib import Path

from slipway.runtime.topology.identities import Identities
from slipway.standalone.embedded.nats import EmbeddedNats, NatsOptions
from support.folders import open_folder


async def run(*arguments: str, **settings: str) -> tuple[int, str]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", *arguments),
        env={**os.environ, **settings},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    output, _ = await process.communicate()
    assert process.returncode is not None
    return process.returncode, output.decode()


async def test_keys_and_topology_from_the_command_line(nats_folder: Path) -> None:
    """Make keys, start the server with them, apply the topology: the administrator may, a service not."""
    with open_folder("keys") as folder:
        identities = Identities(folder / "keys")
        assert await run("slipway.runtime.topology.identities", str(identities.folder)) == (0, "")
        options = NatsOptions(max_file_store="4GB", users_file=identities.users_file)
        server = EmbeddedNats(nats_folder, options)
        server.start()
        apply = ("slipway.runtime.topology", "apply")

        as_service = await run(
            *apply,
            SLIPWAY_NATS_URL=server.url,
            SLIPWAY_NATS_NKEY_FILE=str(identities.nkey_file("gateway")),
        )
        as_admin = [
            await run(
                *apply,
                SLIPWAY_NATS_URL=server.url,
                SLIPWAY_NATS_NKEY_FILE=str(identities.nkey_file("admin")),
            )
            for _ in range(2)
        ]
        server.stop()

    assert as_service[0] == 1
    assert (as_admin[0][0], as_admin[1][0]) == (0, 0)
    assert "topology changed" in as_admin[0][1]
    assert "topology unchanged" in as_admin[1][1]


async def test_an_unreachable_bus_is_one_line() -> None:
    """No traceback for a server that is not there."""
    status, output = await run("slipway.runtime.topology", "apply", SLIPWAY_NATS_URL="nats://127.0.0.1:1")

    assert status == 1
    assert output.startswith("The bus can't be reached at nats://127.0.0.1:1")
    assert "Traceback" not in output
