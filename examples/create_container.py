"""Create a container, follow its job to the end, print where it is and how to sign in.

Usage: SLIPWAY_URL=... SLIPWAY_TOKEN=... python3 create_container.py TEMPLATE HOSTNAME
"""

import json
import os
import sys
import time
import uuid
from typing import Any

import httpx
from httpx_sse import connect_sse


def follow(api: httpx.Client, job: str) -> dict[str, Any]:
    """Print a job's progress; return its last event. A cut connection is resumed at the last id."""
    last_id = ""
    while True:
        headers = {"Last-Event-ID": last_id} if last_id else {}
        try:
            with connect_sse(api, "GET", f"/api/v1/jobs/{job}/events", headers=headers) as stream:
                for event in stream.iter_sse():
                    last_id = event.id or last_id
                    if not event.data:
                        continue  # httpx-sse yields a block that only sets `retry` or `id` as well
                    content = json.loads(event.data)
                    if event.event == "phase":
                        print(f"{content['percent']:3d} % {content['phase']} {content['status']}")
                    elif event.event == "done":
                        return dict(content)
        except httpx.TransportError:
            time.sleep(1)


def main(template: str, hostname: str) -> int:
    """Create one; return 0 if it is ready."""
    headers = {"Authorization": f"Bearer {os.environ['SLIPWAY_TOKEN']}"}
    with httpx.Client(base_url=os.environ["SLIPWAY_URL"], headers=headers, timeout=30) as api:
        # With the same key a repeated request creates nothing twice.
        answer = api.post(
            "/api/v1/containers",
            json={"template": template, "hostname": hostname},
            headers={"Idempotency-Key": str(uuid.uuid4())},
        )
        if answer.is_error:
            problem = answer.json()
            print(f"refused: {problem['detail']} ({problem['code']})", file=sys.stderr)
            return 1
        accepted = answer.json()
        done = follow(api, accepted["job"]["id"])
        if done["state"] != "succeeded":
            print(f"{done['state']}: {done['error']['message']}", file=sys.stderr)
            return 1
        container = api.get(f"/api/v1/containers/{accepted['container']['id']}").json()
        for service in container["services"]:
            print(service.get("url") or service["name"])
        for credential in container["credentials"]:
            path = f"/api/v1/containers/{container['id']}/credentials/{credential['id']}/reveal"
            print(f"{credential['name']}: {api.post(path).json()['value']}")
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
