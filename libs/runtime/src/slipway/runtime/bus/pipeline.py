"""Publish many messages without waiting for each; each is acknowledged or refused on its own.

nats-py's `publish_async` does the same, but its futures never get a refusal: they only time out.
"""

import asyncio
import json
from collections.abc import Mapping
from itertools import count

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js.errors import APIError, NoStreamResponseError


class Pipeline:
    """The acknowledgements of one connection."""

    def __init__(self) -> None:
        self._client: Client | None = None
        self._inbox = ""
        self._numbers = count(1)
        self._open: dict[str, asyncio.Future[int]] = {}

    async def publish(
        self, client: Client, subject: str, payload: bytes, headers: Mapping[str, str]
    ) -> asyncio.Future[int]:
        """Send a message, in the order of the calls; the future returns its sequence."""
        if self._client is not client:
            self._inbox = client.new_inbox()
            await client.subscribe(f"{self._inbox}.*", cb=self._take)
            self._client = client
        token = str(next(self._numbers))
        future: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._open[token] = future
        future.add_done_callback(lambda _done: self._open.pop(token, None))
        try:
            await client.publish(subject, payload, reply=f"{self._inbox}.{token}", headers=dict(headers))
        except BaseException:
            future.cancel()
            raise
        return future

    async def _take(self, message: Msg) -> None:
        future = self._open.get(message.subject.rpartition(".")[2])
        if future is None or future.done():
            return
        if not message.data:
            future.set_exception(NoStreamResponseError())
            return
        answer = json.loads(message.data)
        if "error" in answer:
            future.set_exception(APIError(**answer["error"]))
        else:
            future.set_result(int(answer["seq"]))
