"""Queries over a real bus: an answer always comes, and soon."""

import asyncio
import os
import signal
import time
from datetime import timedelta

import pytest

from slipway.contracts.message import Done, Value
from slipway.contracts.problems import Conflict, NotFound, Problem, ProblemKind, SlipwayError, Unavailable
from slipway.runtime.bus.call import Call, using
from slipway.runtime.bus.client import Bus
from slipway.runtime.bus.query_server import WORKERS
from slipway.runtime.errors import BusUnavailable, DeadlineExceeded, ServiceUnavailable
from slipway.runtime.process import clock
from slipway.standalone.embedded.nats import EmbeddedNats
from support.messages import Change, Echo, Echoed
from support.nats import MakeBus

# How long an asker would wait where the test is that it need not.
TIMEOUT = timedelta(seconds=20)


async def echo(query: Echo, call: Call) -> Echoed:
    return Echoed(text=query.text, actor=call.actor)


async def test_an_answer_comes_and_the_actor_travels(make_bus: MakeBus) -> None:
    """The asker gets the typed answer; the answerer knows on whose behalf it was asked."""
    await make_bus("inventory", lambda bus: bus.answer(Echo, echo))
    gateway = await make_bus("gateway")

    with using(Call(actor="user:zoë", correlation_id="c-1")):
        reply = await gateway.ask(Echo(text="hello"))

    assert reply == Echoed(text="hello", actor="user:zoë")


async def test_trap_06_a_rejection_is_answered_as_its_typed_error(make_bus: MakeBus) -> None:
    """A handler that raises still answers: the asker gets the error with its code and details."""

    async def missing(_query: Echo, _call: Call) -> Value:
        raise NotFound("There is no such thing.", code="thing.not-found", thing="t1")

    await make_bus("inventory", lambda bus: bus.answer(Echo, missing))
    gateway = await make_bus("gateway")

    with pytest.raises(NotFound) as caught:
        await gateway.ask(Echo(text=""))

    assert (caught.value.code, caught.value.details) == ("thing.not-found", {"thing": "t1"})


async def test_trap_06_a_bug_is_answered_at_once_and_reveals_nothing(make_bus: MakeBus) -> None:
    """A bug costs the asker no timeout, and its text stays in the logs."""

    async def broken(_query: Echo, _call: Call) -> Value:
        raise KeyError("secret inner detail")

    await make_bus("inventory", lambda bus: bus.answer(Echo, broken))
    gateway = await make_bus("gateway")
    started = time.monotonic()

    with pytest.raises(SlipwayError) as caught:
        await gateway.ask(Echo(text=""), timeout=TIMEOUT)

    assert caught.value.kind is ProblemKind.INTERNAL
    assert "secret inner detail" not in str(caught.value)
    assert time.monotonic() - started < TIMEOUT.seconds / 2


async def test_trap_06_a_body_that_is_no_query_is_answered(make_bus: MakeBus) -> None:
    """Garbage is rejected with the names of the wrong fields."""
    await make_bus("inventory", lambda bus: bus.answer(Echo, echo))
    gateway = await make_bus("gateway")

    reply = await gateway.connection.request(Echo.subject, b'{"text": 7}', timeout=1)

    assert (reply.headers or {})["Nats-Service-Error-Code"] == "invalid"
    assert b'"field":"text"' in reply.data


async def test_a_reply_too_large_for_the_bus_is_a_problem(make_bus: MakeBus) -> None:
    """An answer that the bus would refuse becomes an error instead of silence."""

    async def huge(_query: Echo, _call: Call) -> Echoed:
        return Echoed(text="x" * 1_100_000)

    await make_bus("inventory", lambda bus: bus.answer(Echo, huge))
    gateway = await make_bus("gateway")

    with pytest.raises(SlipwayError) as caught:
        await gateway.ask(Echo(text=""))

    assert caught.value.code == "too-large"


async def test_nobody_there_is_known_at_once(make_bus: MakeBus) -> None:
    """No responder is unavailable now, not after the timeout."""
    gateway = await make_bus("gateway")
    started = time.monotonic()

    with pytest.raises(ServiceUnavailable):
        await gateway.ask(Echo(text=""), timeout=TIMEOUT)

    assert time.monotonic() - started < TIMEOUT.seconds / 2


async def test_trap_07_queries_of_one_subject_run_side_by_side(make_bus: MakeBus) -> None:
    """Twenty slow queries take the time of one."""

    async def slow(query: Echo, _call: Call) -> Echoed:
        await asyncio.sleep(0.4)
        return Echoed(text=query.text)

    await make_bus("inventory", lambda bus: bus.answer(Echo, slow))
    gateway = await make_bus("gateway")
    started = time.monotonic()

    await asyncio.gather(*(gateway.ask(Echo(text=str(number)), timeout=TIMEOUT) for number in range(20)))

    assert time.monotonic() - started < 4


@pytest.mark.parametrize("deadline", ["tomorrow", "2026-11-26T00:00:00", "9e99"])
async def test_an_unreadable_deadline_is_answered(make_bus: MakeBus, deadline: str) -> None:
    """Whoever writes its own headers gets a problem, not silence."""
    await make_bus("inventory", lambda bus: bus.answer(Echo, echo))
    gateway = await make_bus("gateway")

    reply = await gateway.connection.request(
        Echo.subject, b'{"text": "x"}', timeout=2, headers={"Slipway-Deadline": deadline}
    )

    assert Problem.model_validate_json(reply.data).code == "invalid"


async def test_the_deadline_cancels_the_handler_and_is_answered(make_bus: MakeBus) -> None:
    """A handler that takes longer than the asker waits is cancelled, and the asker hears why."""
    cancelled = asyncio.Event()

    async def endless(_query: Echo, _call: Call) -> Value:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            cancelled.set()
            raise
        return Done()

    await make_bus("inventory", lambda bus: bus.answer(Echo, endless))
    gateway = await make_bus("gateway")

    with pytest.raises(Unavailable) as caught:
        await gateway.ask(Echo(text=""), timeout=timedelta(seconds=0.3))

    assert caught.value.code == "deadline.exceeded"
    assert cancelled.is_set()


async def test_the_callers_deadline_goes_through_a_chain(make_bus: MakeBus) -> None:
    """A service that asks another in turn gives on no more time than it was given itself."""
    deadlines = []

    async def note(_query: Echo, call: Call) -> Echoed:
        deadlines.append(call.deadline)
        return Echoed(text="")

    await make_bus("inventory", lambda bus: bus.answer(Echo, note))
    gateway = await make_bus("gateway")
    deadline = clock.now() + timedelta(seconds=0.5)

    with using(Call(actor="a", correlation_id="c", deadline=deadline)):
        await gateway.ask(Echo(text=""), timeout=timedelta(seconds=30))

    assert deadlines == [deadline]


async def test_a_question_after_its_deadline_is_not_asked(make_bus: MakeBus) -> None:
    """Expired work is refused before it is sent."""
    gateway = await make_bus("gateway")
    late = Call(actor="a", correlation_id="c", deadline=clock.now() - timedelta(seconds=1))

    with using(late), pytest.raises(DeadlineExceeded):
        await gateway.ask(Echo(text=""))


async def test_trap_09_a_rolling_restart_under_load_fails_no_query(make_bus: MakeBus) -> None:
    """Replicas come and go while queries rain; every one is answered."""

    async def brief(query: Change, _call: Call) -> Done:
        await asyncio.sleep(0.02)
        return Done()

    def register(bus: Bus) -> None:
        bus.answer(Change, brief)

    gateway = await make_bus("gateway")
    replica = await make_bus("inventory", register)
    failures: list[Exception] = []
    answered = 0
    done = asyncio.Event()

    async def rain() -> None:
        nonlocal answered
        while not done.is_set():
            try:
                await gateway.ask(Change())
                answered += 1
            except SlipwayError as error:
                failures.append(error)

    drops = [asyncio.create_task(rain()) for _ in range(20)]
    for _ in range(6):
        newer = await make_bus("inventory", register)
        await asyncio.sleep(0.15)
        await replica.drain()
        replica = newer
    done.set()
    await asyncio.gather(*drops)

    assert failures == []
    assert answered > 200


async def endless(_query: Echo, _call: Call) -> Value:
    """Answer long after the test."""
    await asyncio.sleep(60)
    return Done()


async def test_a_query_that_outlives_the_drain_is_answered_as_unavailable(make_bus: MakeBus) -> None:
    """Out of time on the way down, the asker hears so at once and need not wait for its timeout."""
    inventory = await make_bus("inventory", lambda bus: bus.answer(Echo, endless), graceful_timeout=0.3)
    gateway = await make_bus("gateway")
    asking = asyncio.create_task(gateway.ask(Echo(text=""), timeout=timedelta(seconds=20)))
    await asyncio.sleep(0.1)

    await inventory.drain()

    with pytest.raises(Unavailable):
        await asyncio.wait_for(asking, 2)


async def test_queries_that_wait_for_others_hear_that_the_service_stops(make_bus: MakeBus) -> None:
    """More than run at once, and none ends: each asker hears at once, also one that never had its turn."""
    inventory = await make_bus("inventory", lambda bus: bus.answer(Echo, endless), graceful_timeout=0.3)
    gateway = await make_bus("gateway")
    asking = [asyncio.create_task(gateway.ask(Echo(text=""), timeout=TIMEOUT)) for _ in range(3 * WORKERS)]
    await asyncio.sleep(0.2)

    await inventory.drain()

    async with asyncio.timeout(TIMEOUT.seconds / 2):
        outcomes = await asyncio.gather(*asking, return_exceptions=True)
    assert {getattr(each, "message", each) for each in outcomes} == {"The service is stopping."}


async def test_errors_carry_their_kind_over_the_wire(make_bus: MakeBus) -> None:
    """A conflict stays a conflict."""

    async def clash(_query: Change, _call: Call) -> Done:
        raise Conflict("It exists.", code="thing.exists")

    await make_bus("inventory", lambda bus: bus.answer(Change, clash))
    gateway = await make_bus("gateway")

    with pytest.raises(Conflict):
        await gateway.ask(Change())


async def test_a_frozen_bus_is_named_and_is_there_again_at_once(
    make_bus: MakeBus, nats_server: EmbeddedNats
) -> None:
    """Silence is not reported as the service's; nothing has to be connected anew once the server goes on."""
    await make_bus("inventory", lambda bus: bus.answer(Echo, echo))
    gateway = await make_bus("gateway")

    os.kill(nats_server.server.pid, signal.SIGSTOP)
    try:
        with pytest.raises(BusUnavailable, match="message bus does not answer"):
            await gateway.ask(Echo(text="lost"), timeout=timedelta(seconds=0.5))
        with pytest.raises(BusUnavailable, match="does not answer"):
            await gateway.ping()
    finally:
        os.kill(nats_server.server.pid, signal.SIGCONT)
    await gateway.ping()
    reply = await gateway.ask(Echo(text="back"), timeout=timedelta(seconds=2))

    assert reply.text == "back"
