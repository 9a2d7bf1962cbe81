"""The two tables, ids, headers and metrics: pure parts at the edges."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from slipway.contracts.cluster_facts import NodeFacts, NodeObserved
from slipway.contracts.message import Id
from slipway.contracts.problems import (
    Conflict,
    Failed,
    Forbidden,
    Invalid,
    NotFound,
    ProblemKind,
    Reason,
    Rejected,
    SlipwayError,
    Superseded,
    TooLarge,
    Unauthenticated,
    Unavailable,
)
from slipway.runtime.bus import headers
from slipway.runtime.bus.call import Call, using
from slipway.runtime.bus.consumer import LONGEST_DELAY_SECONDS, Registration, delay_seconds
from slipway.runtime.error_mapping import REASONS, SETTLEMENTS, STATUSES, http_status
from slipway.runtime.errors import invalid, problem_of
from slipway.runtime.process import metrics
from slipway.runtime.process.ids import new_id
from slipway.runtime.topology.declared import (
    CONSUMERS,
    STREAMS,
    consumer,
    dead_letter_subject,
    lifetime,
    stream_of,
)
from support.messages import Echo, Log, Phase


def test_every_kind_and_reason_is_in_the_tables() -> None:
    """A new kind of problem can't be forgotten."""
    assert set(SETTLEMENTS) == set(STATUSES) == set(ProblemKind)
    assert set(REASONS) == set(Reason)


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (Invalid("x"), 422),
        (Rejected("x"), 422),
        (NotFound("x"), 404),
        (Conflict("x"), 409),
        (Forbidden("x"), 403),
        (Unauthenticated("x"), 401),
        (TooLarge("x"), 413),
        (Unavailable("x"), 503),
        (Failed("x"), 502),
        (Superseded("x"), 409),
        (SlipwayError("x"), 500),
        (KeyError("x"), 500),
    ],
)
def test_a_problem_has_its_http_status(error: Exception, status: int) -> None:
    """The gateway needs no table of its own."""
    assert http_status(problem_of(error)) == status


def test_a_bug_shows_nothing_of_itself() -> None:
    """Its text may hold anything."""
    assert "hunter2" not in problem_of(RuntimeError("hunter2")).model_dump_json()


def test_an_invalid_message_names_its_fields_without_values() -> None:
    """The caller learns what to mend; a secret put into the wrong field is not sent back."""
    with pytest.raises(ValidationError) as caught:
        Echo.model_validate({"text": {"password": "hunter2"}})

    error = invalid(caught.value)
    assert [fault.field for fault in error.errors] == ["text"]
    assert "hunter2" not in error.to_problem().model_dump_json()


def test_ids_grow_and_are_safe_in_subjects() -> None:
    """Ten thousand in a row: all different, sorted, and valid by the contract."""
    ids = [new_id() for _ in range(10_000)]

    assert ids == sorted(set(ids))
    TypeAdapter(list[Id]).validate_python(ids)


@given(st.text(), st.text(min_size=1), st.one_of(st.none(), st.text()))
def test_a_call_comes_through_headers_unchanged(actor: str, correlation: str, key: str | None) -> None:
    """Any text, also with line breaks, which headers could not carry."""
    deadline = datetime(2026, 1, 2, 3, 4, 5, 678, tzinfo=UTC)
    call = Call(actor=actor, correlation_id=correlation, deadline=deadline, idempotency_key=key)

    written = headers.of_call(call)
    read = headers.call_of(written)

    assert (read.actor, read.correlation_id) == (actor, correlation)
    assert (read.deadline, read.idempotency_key) == (deadline, key)
    assert all("\n" not in value and value.isascii() for value in written.values())


def test_a_trace_goes_on_with_a_new_span() -> None:
    """Same trace id, another span id."""
    parent = f"00-{'a' * 32}-{'b' * 16}-01"

    child = headers.of_call(Call(actor="a", correlation_id="c", traceparent=parent))["traceparent"]

    assert child.split("-")[1] == "a" * 32
    assert child.split("-")[2] != "b" * 16


def test_a_stored_message_carries_no_deadline_of_its_asker() -> None:
    """Work that is stored outlives the request that caused it."""
    call = Call(actor="a", correlation_id="c", deadline=datetime.now(UTC), idempotency_key="k")

    with using(call):
        written = headers.of_message(Phase(id="j1"), service="s", message_id="m")

    assert headers.DEADLINE not in written
    assert headers.IDEMPOTENCY_KEY not in written


def test_delays_double_up_to_a_bound() -> None:
    """Many tries don't make the wait endless."""
    delays = [delay_seconds(attempt) for attempt in range(1, 50)]

    assert delays[0] < delays[2] < delays[4]
    assert max(delays) <= LONGEST_DELAY_SECONDS


@pytest.mark.parametrize(
    ("subject", "suits"),
    [
        ("slipway.v1.event.job.j1.phase", True),
        ("slipway.v1.event.job.j1.log", False),
        ("slipway.v1.event.job.phase", False),
        ("slipway.v1.event.job.j1.phase.x", False),
    ],
)
def test_a_kind_suits_its_own_subjects(subject: str, suits: bool) -> None:  # noqa: FBT001 - a table's column
    """Several kinds can share a consumer."""

    async def handle(_message: Phase, _delivery: object) -> None:
        return

    assert Registration(Phase, handle).suits(subject) is suits


def test_every_consumer_filters_what_its_stream_holds() -> None:
    """A consumer can't wait for what never comes."""
    for each in CONSUMERS:
        assert {stream_of(subject) for subject in each.filters} == {each.stream}
        assert consumer(each.durable) is each
    assert stream_of("slipway.v1.query.inventory.x") is None
    assert {stream.name for stream in STREAMS} == {"COMMANDS", "EVENTS", "DEAD_LETTERS", "ADVISORIES"}


def test_dead_letters_are_sorted_by_service_and_handler() -> None:
    """An operator finds them by where they failed."""
    assert dead_letter_subject("provisioner", "provisioner-run") == "slipway.v1.dead-letter.provisioner.run"
    assert lifetime(Echo(text="")) is None


def test_what_is_published_again_and_again_does_not_fill_the_stream() -> None:
    """A node's facts are stored every few minutes, and nobody asks for those of yesterday."""
    facts = NodeFacts(node="pve1", is_online=True, is_ssh_usable=True, observed_at=datetime.now(UTC))
    assert lifetime(NodeObserved(id="c1-pve1", cluster="c1", facts=facts)) == timedelta(hours=1)
    assert lifetime(Log(id="j1")) == timedelta(days=7)
    assert lifetime(Phase(id="j1")) == timedelta(days=90)


def test_trap_16_a_thousand_containers_make_no_more_series() -> None:
    """Labels are subject templates, so series don't grow with what is managed."""

    def series() -> int:
        return metrics.render().count(b"\n")

    def handle(number: int) -> None:
        message = Phase(id=f"job{number}")
        metrics.published.labels(headers.type_of(message)).inc()
        metrics.deliveries.labels("provisioner-run", headers.type_of(message), "ack").inc()

    handle(0)
    before = series()
    for number in range(1, 1000):
        handle(number)

    assert series() == before
