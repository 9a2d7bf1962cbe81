#!/usr/bin/env bash
# httpx-sse 0.4.3 with httpx 0.28.1: a block of an event stream that has no data is yielded as an event.
#
# The HTML standard ("Server-sent events", interpreting an event stream) dispatches nothing for a block without a data line: it only
# sets the reconnection time (`retry:`) or the last event id (`id:`). A browser's EventSource does so. httpx-sse yields an event
# `message` with empty data for each, so that a client which reads JSON out of every event breaks at the first `retry:` of a server.
# A heartbeat comment is nothing before the first id, and such an empty event as soon as any id was seen.
#
# Seen: nothing for the first comment, ("message", "") for `retry: 500`, ("message", "") for `id: 7`, ("ping", "") for `event: ping`,
# ("message", "") for the second comment, then ("phase", "{}") for the one block with data.
# Exits with 1 if any of that is different.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check httpx==0.28.1 httpx-sse==0.4.3
cat >"$folder/proof.py" <<'PY'
import sys

import httpx
from httpx_sse import EventSource

STREAM = ": alive\n\n" "retry: 500\n\n" "id: 7\n\n" "event: ping\n\n" ": alive\n\n" "event: phase\ndata: {}\n\n"
EXPECTED = [("message", ""), ("message", ""), ("ping", ""), ("message", ""), ("phase", "{}")]

response = httpx.Response(200, headers={"Content-Type": "text/event-stream"}, text=STREAM)
events = [(event.event, event.data) for event in EventSource(response).iter_sse()]
print(events)
sys.exit(events != EXPECTED)
PY
"$folder/venv/bin/python" "$folder/proof.py"
