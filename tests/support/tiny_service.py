"""The smallest real service, for tests of the process around it: `python -m support.tiny_service serve`."""

import asyncio

from slipway.runtime.bus.call import Call
from slipway.runtime.bus.client import Bus
from slipway.runtime.process.health import Receive, Scope, Send
from slipway.runtime.process.main import main
from slipway.runtime.process.service import Service
from slipway.runtime.process.settings import ServiceSettings
from support.messages import Echo, Echoed


class TinySettings(ServiceSettings):
    """A setting of its own, to get wrong."""

    limit: int = 1


async def echo(query: Echo, _call: Call) -> Echoed:
    """Answer after a moment."""
    await asyncio.sleep(0.3)
    return Echoed(text=query.text)


def build() -> Service:
    """Assemble it."""
    settings = TinySettings()
    bus = Bus(settings, service="inventory")
    bus.answer(Echo, echo)
    service = Service("inventory", settings, bus)

    async def stream(scope: Scope, _receive: Receive, send: Send) -> None:
        """Stay open until the service stops, as a stream to a browser does."""
        assert scope["type"] == "http"
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"open\n", "more_body": True})
        await service.stopping.wait()
        await send({"type": "http.response.body", "body": b"bye\n"})

    service.app = stream
    return service


async def migrate() -> None:
    """Have nothing to migrate."""


if __name__ == "__main__":
    main("inventory", build, migrate=migrate)
