"""Writing to streams: stored once, in one piece, and only by the owner of the newest record."""

import asyncio

import pytest
from nats.aio.client import Client
from nats.aio.msg import Msg

from slipway.contracts.problems import TooLarge
from slipway.runtime.bus.client import Bus, WriteRefused, WriteUnknown
from slipway.runtime.errors import BusUnavailable
from slipway.runtime.topology.declared import RECORD_LIFETIME
from slipway.standalone.embedded.nats import EmbeddedNats
from support.messages import Appeared, Echo, Log, Phase, Record, Run
from support.nats import MakeBus


async def stored(admin: Client, stream: str = "EVENTS") -> dict[str, int]:
    info = await admin.jetstream().stream_info(stream, subjects_filter=">")
    return info.state.subjects or {}


@pytest.fixture
async def provisioner(make_bus: MakeBus) -> Bus:
    """A bus as the provisioner."""
    return await make_bus("provisioner")


async def test_a_stored_message_carries_cloud_events_headers(provisioner: Bus, admin: Client) -> None:
    """Any consumer can read what a message is, who sent it and when, from its headers."""
    sequence = await provisioner.publish(Phase(id="j1"), message_id="m1")

    message = await admin.jetstream().get_msg("EVENTS", seq=sequence)
    headers = message.headers or {}
    assert headers["ce-type"] == "slipway.v1.event.job.phase"
    assert (headers["ce-id"], headers["ce-source"], headers["ce-subject"]) == (
        "m1",
        "/slipway/provisioner",
        "j1",
    )
    assert headers["Nats-TTL"] == str(90 * 86400)


async def test_log_lines_live_a_week(provisioner: Bus, admin: Client) -> None:
    """Logs are many and soon of no interest."""
    sequence = await provisioner.publish(Log(id="j1"), message_id="m1")

    message = await admin.jetstream().get_msg("EVENTS", seq=sequence)
    assert (message.headers or {})["Nats-TTL"] == str(7 * 86400)


async def test_trap_12_the_same_message_id_is_stored_once(provisioner: Bus, admin: Client) -> None:
    """A publish whose answer got lost can be repeated."""
    first = await provisioner.publish(Phase(id="j1"), message_id="m1")

    second = await provisioner.publish(Phase(id="j1"), message_id="m1")

    assert first == second
    assert await stored(admin) == {"slipway.v1.event.job.j1.phase": 1}


async def test_trap_12_a_repetition_of_a_compare_and_set_is_refused(provisioner: Bus) -> None:
    """The bus looks at the expected sequence before the message id: a refusal does not mean "not stored"."""
    await provisioner.publish(Phase(id="j1"), message_id="m1", fence=("slipway.v1.event.job.j1.phase", 0))

    with pytest.raises(WriteRefused):
        await provisioner.publish(Phase(id="j1"), message_id="m1", fence=("slipway.v1.event.job.j1.phase", 0))


async def test_trap_12_a_repetition_of_a_fenced_log_message_is_stored_once(provisioner: Bus) -> None:
    """A fence on another subject still holds when the message is sent again."""
    claimed = await provisioner.commit(Record(id="j1"), [], expected_sequence=0, commit_id="c1")
    fence = ("slipway.v1.state.job.j1", claimed)
    first = await provisioner.publish(Log(id="j1"), message_id="l1", fence=fence)

    second = await provisioner.publish(Log(id="j1"), message_id="l1", fence=fence)

    assert first == second


async def test_trap_12_a_publish_outlives_a_restart_of_the_bus(
    provisioner: Bus, admin: Client, nats_server: EmbeddedNats
) -> None:
    """The bus is killed and comes back while a message is on its way: it is stored, once."""
    nats_server.server.kill()
    publishing = asyncio.create_task(provisioner.publish(Phase(id="j1"), message_id="m1"))
    await asyncio.sleep(0.3)

    nats_server.start()

    assert await publishing == 1
    assert await stored(admin) == {"slipway.v1.event.job.j1.phase": 1}


async def test_trap_11_what_is_not_stored_can_not_be_published(provisioner: Bus) -> None:
    """A query on the publishing path is a mistake, not a silent loss."""
    with pytest.raises(TypeError):
        await provisioner.publish(Echo(text=""), message_id="m1")
    with pytest.raises(TypeError):
        await provisioner.publish_raw("slipway.v1.query.inventory.x", b"", {"Nats-Msg-Id": "m1"})


async def test_only_the_commit_may_roll_up(provisioner: Bus) -> None:
    """One wrong value of that header would empty the stream."""
    with pytest.raises(ValueError, match="roll up"):
        await provisioner.publish_raw(
            "slipway.v1.event.job.j1.phase", b"{}", {"Nats-Msg-Id": "m1", "nats-rollup": "all"}
        )


async def test_a_refused_expectation_is_reported(provisioner: Bus) -> None:
    """A compare-and-set that lost raises `WriteRefused`."""
    await provisioner.publish(Phase(id="j1"), message_id="m1")

    with pytest.raises(WriteRefused):
        await provisioner.publish(Phase(id="j1"), message_id="m2", fence=("slipway.v1.event.job.j1.phase", 0))


async def test_a_log_message_is_fenced_by_the_record(provisioner: Bus) -> None:
    """A worker that lost its claim can't write log lines either."""
    claimed = await provisioner.commit(Record(id="j1"), [], expected_sequence=0, commit_id="c1")
    fence = ("slipway.v1.state.job.j1", claimed)
    await provisioner.publish(Log(id="j1"), message_id="l1", fence=fence)
    await provisioner.commit(Record(id="j1", step=1), [], expected_sequence=claimed, commit_id="c2")

    with pytest.raises(WriteRefused):
        await provisioner.publish(Log(id="j1"), message_id="l2", fence=fence)


async def test_a_commit_stores_record_and_events_and_returns_the_records_sequence(
    provisioner: Bus, admin: Client
) -> None:
    """State and job log are one write; of the record only the last version stays."""
    first = await provisioner.commit(Record(id="j1"), [Phase(id="j1")], expected_sequence=0, commit_id="c1")

    events = [Phase(id="j1", text="a"), Phase(id="j1", text="b")]
    second = await provisioner.commit(
        Record(id="j1", step=1), events, expected_sequence=first, commit_id="c2"
    )

    assert await provisioner.last(Record, "j1") == (Record(id="j1", step=1), second)
    assert await stored(admin) == {"slipway.v1.state.job.j1": 1, "slipway.v1.event.job.j1.phase": 3}
    assert second == first + 2


async def test_a_fenced_commit_stores_nothing(provisioner: Bus, admin: Client) -> None:
    """A stale owner's batch is refused whole; nobody hears its events."""
    await provisioner.commit(Record(id="j1"), [], expected_sequence=0, commit_id="c1")
    heard: list[str] = []

    async def note(message: Msg) -> None:
        heard.append(message.subject)

    await admin.subscribe("slipway.live.>", cb=note)
    await admin.flush()

    with pytest.raises(WriteRefused):
        await provisioner.commit(Record(id="j1"), [Phase(id="j1")], expected_sequence=0, commit_id="c2")

    await admin.flush()
    assert await stored(admin) == {"slipway.v1.state.job.j1": 1}
    assert heard == []


async def test_a_repeated_commit_is_refused_and_the_record_shows_it_as_stored(provisioner: Bus) -> None:
    """After an unknown outcome the record shows it: it carries the commit's own id."""
    first = await provisioner.commit(
        Record(id="j1", commit="c1"), [Phase(id="j1")], expected_sequence=0, commit_id="c1"
    )

    with pytest.raises(WriteRefused):
        await provisioner.commit(
            Record(id="j1", commit="c1"), [Phase(id="j1")], expected_sequence=0, commit_id="c1"
        )

    assert await provisioner.last(Record, "j1") == (Record(id="j1", commit="c1"), first)


async def test_a_commit_without_an_answer_is_unknown(provisioner: Bus, nats_server: EmbeddedNats) -> None:
    """Nobody may assume that it failed."""
    nats_server.server.kill()

    with pytest.raises(WriteUnknown):
        await provisioner.commit(Record(id="j1"), [Phase(id="j1")], expected_sequence=0, commit_id="c1")


async def test_a_terminal_record_may_end(provisioner: Bus, admin: Client) -> None:
    """A record's time to live is sent inside the batch; without one it has no end."""
    sequence = await provisioner.commit(
        Record(id="j1"), [Phase(id="j1")], expected_sequence=0, commit_id="c1", ttl=RECORD_LIFETIME
    )

    message = await admin.jetstream().get_msg("EVENTS", seq=sequence)
    assert (message.headers or {})["Nats-TTL"] == str(90 * 86400)


async def test_no_record_is_none(provisioner: Bus) -> None:
    """A job without a record yet is an ordinary case."""
    assert await provisioner.last(Record, "j1") is None


async def test_a_message_larger_than_the_bus_takes_is_reported(provisioner: Bus) -> None:
    """It is the sender's mistake, not a broken bus."""
    with pytest.raises(TooLarge):
        await provisioner.publish(Phase(id="j1", text="x" * 1_100_000), message_id="m1")


async def test_a_full_stream_refuses_new_messages_and_keeps_the_old(provisioner: Bus, admin: Client) -> None:
    """EVENTS discards new, not old: a run's record is never pushed out."""
    await provisioner.commit(Record(id="j1"), [], expected_sequence=0, commit_id="c1")
    config = (await admin.jetstream().stream_info("EVENTS")).config
    await admin.jetstream().update_stream(config.evolve(max_bytes=2000))

    async def fill() -> None:
        for number in range(50):
            await provisioner.publish(Appeared(id="g1", text="x" * 100), message_id=f"m{number}")

    with pytest.raises(BusUnavailable):
        await fill()

    assert await provisioner.last(Record, "j1") is not None


async def test_trap_08_no_subscriber_answers_in_place_of_the_stream(make_bus: MakeBus) -> None:
    """While a consumer handles stored messages, every publish gets the stream's own acknowledgement."""

    async def ignore(_message: Run, _delivery: object) -> None:
        return

    inventory = await make_bus("inventory")
    await make_bus("provisioner", lambda bus: bus.consume(Run, ignore, durable="provisioner-run", slots=4))

    sequences = await asyncio.gather(
        *(inventory.publish(Run(id=f"j{number}"), message_id=f"m{number}") for number in range(200))
    )

    assert sorted(sequences) == list(range(1, 201))
