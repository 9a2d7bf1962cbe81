"""Messages are a product: their shape changes only on purpose."""

import json
import re
from typing import Any

import pytest
from contract.messages import documents

from slipway.contracts.message import Message, Query
from slipway.contracts.registry import MESSAGES, SERVICES

SUBJECTS = {
    "command": r"slipway\.v1\.command\.[a-z]+\.[a-z]+\.[a-z-]+",
    "event": r"slipway\.v1\.event\.[a-z]+\.\{id\}\.[a-z-]+",
    "state": r"slipway\.v1\.state\.[a-z]+\.\{id\}",
    "query": r"slipway\.v1\.query\.[a-z]+\.[a-z-]+\.[a-z-]+",
}
each_message = pytest.mark.parametrize("message", MESSAGES, ids=lambda message: message.__name__)


@each_message
def test_subject_follows_the_grammar_of_its_kind(message: type[Message]) -> None:
    """A subject says kind, receiver or noun, and verb or fact."""
    kind = documents.kind(message)

    assert re.fullmatch(SUBJECTS[kind], message.subject)
    if kind in {"command", "query"}:
        assert message.subject.split(".")[3] in SERVICES


@each_message
def test_golden_sample_still_reads(message: type[Message]) -> None:
    """What was once sent is understood for ever, and nothing of it is dropped."""
    sample = json.loads((documents.GOLDEN / f"{message.__name__}.json").read_text())

    read = message.model_validate(sample).model_dump(mode="json")

    assert _what_was_sent(read, sample) == sample


def _what_was_sent(read: Any, sample: Any) -> Any:
    """Return what was read without the fields that came later, at any depth."""
    if isinstance(sample, dict):
        return {key: _what_was_sent(read[key], part) for key, part in sample.items()}
    if isinstance(sample, list):
        return [_what_was_sent(one, part) for one, part in zip(read, sample, strict=True)]
    return read


@each_message
def test_unknown_fields_are_ignored(message: type[Message]) -> None:
    """A newer sender suits an older reader."""
    sample = json.loads((documents.GOLDEN / f"{message.__name__}.json").read_text())

    read = message.model_validate({**sample, "from_the_future": 1})

    assert read == message.model_validate(sample)


def test_fingerprints_are_those_on_record() -> None:
    """A changed shape needs `make contracts`, a CHANGELOG line, and only added fields with defaults."""
    recorded = json.loads(documents.FINGERPRINTS.read_text())

    assert documents.fingerprints() == recorded


def test_generated_documents_are_fresh() -> None:
    """Schemas and AsyncAPI say what the code says; `make contracts` writes them anew."""
    stale = [path.name for path, text in documents.documents().items() if path.read_text() != text]

    assert stale == []


def test_every_query_says_what_answers_it() -> None:
    """Nobody has to guess the reply."""
    queries = [message for message in MESSAGES if issubclass(message, Query)]

    assert all(query.reply_type().__doc__ for query in queries)


def test_subjects_are_unique() -> None:
    """Two messages never share a subject."""
    assert len({message.subject for message in MESSAGES}) == len(MESSAGES)
