"""Parked messages: handled again or dropped, and written down who asked for it."""

import asyncio

from nats.errors import Error as NatsError

from slipway.contracts.message import Done
from slipway.contracts.parked import DropParked, HandleAgain, ReplayParked
from slipway.inventory.store.audit import AuditStore
from slipway.runtime import headers as h
from slipway.runtime.bus import Bus
from slipway.runtime.call import Call
from slipway.runtime.ids import new_id
from slipway.runtime.parked import Parked, drop_parked, parked_message
from slipway.runtime.problems import BusUnavailable
from slipway.runtime.topology import COMMANDS

SERVICE = "inventory"
STORE_SECONDS = 5.0


class ParkedHandlers:
    """Does what an operator decides about parked messages."""

    def __init__(self, bus: Bus, audit: AuditStore) -> None:
        self._bus = bus
        self._audit = audit

    async def replay(self, query: ReplayParked, call: Call) -> Done:
        """Have one handled again, then remove it."""
        parked = await parked_message(self._bus.connection, query.message)
        if parked.told.stream == COMMANDS:
            await self._say_again(parked)
        elif parked.told.service == SERVICE:
            await self._bus.handle_again(query.message)
        else:
            await self._bus.ask(HandleAgain(message=query.message))
        await self._note(call, "parked.replay", parked)
        await drop_parked(self._bus.connection, query.message)
        return Done()

    async def drop(self, query: DropParked, call: Call) -> Done:
        """Remove one."""
        parked = await parked_message(self._bus.connection, query.message)
        await self._note(call, "parked.drop", parked)
        await drop_parked(self._bus.connection, query.message)
        return Done()

    async def _say_again(self, parked: Parked) -> None:
        headers = {**parked.headers, h.MESSAGE_ID: f"replay:{parked.told.id}:{new_id()}"}
        stored = await self._bus.publish_raw(parked.told.subject, parked.payload, headers)
        try:
            await asyncio.wait_for(stored, STORE_SECONDS)
        except (NatsError, TimeoutError) as error:
            raise BusUnavailable("The bus did not take the command again.") from error

    async def _note(self, call: Call, action: str, parked: Parked) -> None:
        told = parked.told
        await self._audit.note(
            call, action, f"parked/{told.id}", subject=told.subject, message=told.message_id
        )
