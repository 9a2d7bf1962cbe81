"""The documents made from the messages: JSON Schemas, one AsyncAPI file, fingerprints, golden samples."""

import hashlib
import json
from pathlib import Path
from typing import Any

from contract.messages.examples import example

from slipway.contracts.message import Command, Event, Message, Query, State
from slipway.contracts.registry import ASKERS, MESSAGES, PUBLISHERS

ROOT = Path(__file__).parents[3]
SCHEMAS = ROOT / "contracts" / "schemas"
ASYNCAPI = ROOT / "contracts" / "asyncapi.json"
GOLDEN = ROOT / "tests" / "contract" / "golden"
FINGERPRINTS = ROOT / "tests" / "contract" / "messages" / "fingerprints.json"


def schema(message: type[Message]) -> dict[str, Any]:
    """The JSON Schema of one message, with its subject."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **message.model_json_schema()}


def fingerprint(message: type[Message]) -> str:
    """What changes when the message's subject or shape changes; words don't count."""
    shape = {"subject": message.subject, "schema": _without_descriptions(schema(message))}
    if issubclass(message, Query):
        shape["reply"] = _without_descriptions(message.reply_type().model_json_schema())
    return hashlib.sha256(json.dumps(shape, sort_keys=True).encode()).hexdigest()[:16]


def kind(message: type[Message]) -> str:
    """Which of the four kinds it is."""
    for parent in (Command, Event, State, Query):
        if issubclass(message, parent):
            return parent.__name__.lower()
    raise TypeError(f"{message.__name__} is of no kind")


def documents() -> dict[Path, str]:
    """Every generated file with its text, golden samples left out: those are written once and stored."""
    files = {SCHEMAS / f"{m.__name__}.json": _text(schema(m)) for m in MESSAGES}
    files[ASYNCAPI] = _text(asyncapi())
    return files


def fingerprints() -> dict[str, str]:
    """The fingerprint of every message."""
    return {message.__name__: fingerprint(message) for message in MESSAGES}


def golden(message: type[Message]) -> str:
    """A golden sample of today."""
    return _text(example(message).model_dump(mode="json"))


def asyncapi() -> dict[str, Any]:
    """AsyncAPI 3 of every message on the bus, replies included."""
    return {
        "asyncapi": "3.0.0",
        "info": {"title": "Slipway", "version": "1", "description": "Everything said on Slipway's bus."},
        "channels": {m.__name__: _channel(m) for m in MESSAGES},
        "operations": {m.__name__: _operation(m) for m in MESSAGES},
    }


def _channel(message: type[Message]) -> dict[str, Any]:
    payload = {"payload": {"$ref": f"schemas/{message.__name__}.json"}, "summary": _summary(message)}
    channel: dict[str, Any] = {"address": message.subject, "messages": {message.__name__: payload}}
    if "{id}" in message.subject:
        channel["parameters"] = {"id": {"description": "The id of the thing."}}
    return channel


def _operation(message: type[Message]) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "action": "send",
        "channel": {"$ref": f"#/channels/{message.__name__}"},
        "x-kind": kind(message),
        "x-said-by": list(PUBLISHERS[message]) if message in PUBLISHERS else list(_askers(message)),
    }
    if issubclass(message, Query):
        reply = message.reply_type()
        operation["reply"] = {"x-schema": reply.model_json_schema(), "x-class": reply.__name__}
    return operation


def _askers(message: type[Message]) -> tuple[str, ...]:
    return next(askers for query, askers in ASKERS.items() if query is message)


def _summary(message: type[Message]) -> str:
    return (message.__doc__ or "").strip().splitlines()[0]


def _without_descriptions(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _without_descriptions(v) for k, v in value.items() if k not in {"description", "title"}}
    return [_without_descriptions(v) for v in value] if isinstance(value, list) else value


def _text(value: Any) -> str:
    return json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False) + "\n"
