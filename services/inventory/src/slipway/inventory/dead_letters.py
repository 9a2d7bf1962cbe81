"""Dead letters: handled again or dropped, with an audit entry for it."""

import asyncio

from nats.errors import Error as NatsError
from sqlalchemy.ext.asyncio import AsyncConnection

from slipway.contracts.dead_letters import DropDeadLetter, HandleAgain, ReplayDeadLetter
from slipway.contracts.message import Done
from slipway.inventory.decision import AuditNote, Decision
from slipway.inventory.unit_of_work import UnitOfWork
from slipway.runtime.bus import headers as h
from slipway.runtime.bus.call import Call
from slipway.runtime.bus.client import Bus
from slipway.runtime.bus.dead_letters import StoredDeadLetter, dead_letter, drop_dead_letter
from slipway.runtime.errors import BusUnavailable
from slipway.runtime.process.ids import new_id
from slipway.runtime.topology.declared import COMMANDS

SERVICE = "inventory"
STORE_SECONDS = 5.0


class DeadLetterHandlers:
    """Handles dead letters again, or drops them."""

    def __init__(self, bus: Bus, unit: UnitOfWork) -> None:
        self._bus = bus
        self._unit = unit

    async def replay(self, query: ReplayDeadLetter, call: Call) -> Done:
        """Handle one again, then remove it."""
        letter = await dead_letter(self._bus.connection, query.message)
        if letter.summary.stream == COMMANDS:
            await self._send_again(letter)
        elif letter.summary.service == SERVICE:
            await self._bus.handle_again(query.message)
        else:
            await self._bus.ask(HandleAgain(message=query.message))
        await self._note(call, "dead-letter.replay", letter)
        await drop_dead_letter(self._bus.connection, query.message)
        return Done()

    async def drop(self, query: DropDeadLetter, call: Call) -> Done:
        """Remove one."""
        letter = await dead_letter(self._bus.connection, query.message)
        await self._note(call, "dead-letter.drop", letter)
        await drop_dead_letter(self._bus.connection, query.message)
        return Done()

    async def _send_again(self, letter: StoredDeadLetter) -> None:
        headers = {**letter.headers, h.MESSAGE_ID: f"replay:{letter.summary.id}:{new_id()}"}
        stored = await self._bus.publish_raw(letter.summary.subject, letter.payload, headers)
        try:
            await asyncio.wait_for(stored, STORE_SECONDS)
        except (NatsError, TimeoutError) as error:
            raise BusUnavailable("The bus did not take the command again.") from error

    async def _note(self, call: Call, action: str, letter: StoredDeadLetter) -> None:
        details = {"subject": letter.summary.subject, "message": letter.summary.message_id}
        note = AuditNote(action=action, target=f"dead-letters/{letter.summary.id}", details=details)

        async def decide(_tx: AsyncConnection) -> Decision[None]:
            return Decision(reply=None, audit=[note])

        await self._unit.run(call, decide)
