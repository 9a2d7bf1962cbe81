"""An example of every message, made from its types alone: the same each time."""

import types
from collections.abc import Mapping
from datetime import UTC, datetime
from enum import Enum
from typing import Any, Literal, Union, get_args, get_origin

from pydantic import AwareDatetime, BaseModel

_MOMENT = datetime(2026, 2, 3, 4, 5, 6, tzinfo=UTC)
_WORDS: Mapping[str, str] = {
    "subject": "slipway",
    "hostname": "web-1",
    "node": "pve1",
    "ip": "10.0.0.5/24",
    "endpoint": "https://pve1:8006",
    "manager": "apt",
}


def example(model: type[BaseModel]) -> BaseModel:
    """Build one instance with every field set."""
    values = {name: _value(name, field.annotation) for name, field in model.model_fields.items()}
    return model.model_validate(values)


def _value(name: str, annotation: Any) -> Any:
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin in {Union, types.UnionType}:
        return _value(name, next(a for a in arguments if a is not type(None)))
    if origin is Literal:
        return arguments[0]
    if origin is tuple:
        return [_value(name, arguments[0])]
    if origin is not None and issubclass(origin, Mapping):
        return {"key": _value(name, arguments[1])}
    if isinstance(annotation, type):
        return _plain(name, annotation)
    return _word(name)


def _plain(name: str, annotation: type) -> Any:
    if issubclass(annotation, BaseModel):
        return example(annotation).model_dump()
    if issubclass(annotation, Enum):
        return next(iter(annotation))
    if annotation is AwareDatetime:
        return _MOMENT
    if annotation in {int, float}:
        return {"vmid": 104, "port": 80, "percent": 20}.get(name, 1)
    return True if annotation is bool else _word(name)


def _word(name: str) -> str:
    return _WORDS.get(name, name.replace("_", "-"))
