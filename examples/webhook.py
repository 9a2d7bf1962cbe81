"""Post every end of a job to a URL, signed; and a receiver that checks the signature.

Usage: WEBHOOK_SECRET=... python3 webhook.py send nats://127.0.0.1:4222 KEY_FILE http://127.0.0.1:9000/
       WEBHOOK_SECRET=... python3 webhook.py receive 9000
"""

import asyncio
import hashlib
import hmac
import os
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer

import httpx
import nats

from slipway.contracts.job_events import JobDone

MOST_BYTES = 64 * 1024
RETRY_SECONDS = 10


def signature(body: bytes) -> str:
    """Return the signature of a body under the shared secret."""
    return hmac.new(os.environ["WEBHOOK_SECRET"].encode(), body, hashlib.sha256).hexdigest()


async def send(url: str, key_file: str, target: str) -> None:
    """Send what was not acknowledged before; a receiver that is away gets it again later."""
    client = await nats.connect(url, nkeys_seed=key_file)
    # A durable consumer goes on where it was, also after this program was stopped.
    ends = await client.jetstream().pull_subscribe(
        "slipway.v1.event.job.*.done", durable="webhook", stream="EVENTS"
    )
    async with httpx.AsyncClient(timeout=10) as http:
        while True:
            try:
                (message,) = await ends.fetch(1, timeout=30)
            except TimeoutError:
                continue
            body = JobDone.model_validate_json(message.data).model_dump_json().encode()
            # Delivery is at least once: the receiver can tell a repetition by this id.
            headers = {
                "X-Signature": signature(body),
                "X-Message-Id": (message.headers or {}).get("Nats-Msg-Id", ""),
                "Content-Type": "application/json",
            }
            try:
                answer = await http.post(target, content=body, headers=headers)
                is_taken = answer.is_success
            except httpx.TransportError:
                is_taken = False
            await (message.ack() if is_taken else message.nak(delay=RETRY_SECONDS))


class Receiver(BaseHTTPRequestHandler):
    """Prints what comes with the right signature, refuses the rest."""

    def do_POST(self) -> None:
        """Take one end of a job."""
        length = int(self.headers.get("Content-Length", 0))
        body = self.rfile.read(min(length, MOST_BYTES))
        is_right = hmac.compare_digest(self.headers.get("X-Signature", ""), signature(body))
        if is_right:
            done = JobDone.model_validate_json(body)
            print(done.id, done.state, flush=True)
        self.send_response(204 if is_right else 403)
        self.end_headers()


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["send", url, key_file, target]:
            asyncio.run(send(url, key_file, target))
        case ["receive", port]:
            HTTPServer(("127.0.0.1", int(port)), Receiver).serve_forever()
        case _:
            sys.exit(__doc__)
