"""YAML as people write it: what YAML 1.1 reads otherwise than it looks, and how to write it instead. Pure.

`0640` and `22:22` are other numbers than they show, `NO` is false, `1.10` is 1.1, `2026-11-29` a date. Such a
number, a date that there is not, and a key that is no text are wrong everywhere; the rest is wrong only where
a text is wanted, which the model knows.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import yaml

_TAG = "tag:yaml.org,2002:"
_READINGS = {
    "null": "nothing",
    "bool": "{}",
    "int": "the number {}",
    "float": "the number {}",
    "timestamp": "the date {}",
}
"""In words, by the tag of a scalar; one with another tag is a text."""
_OTHER_DIGITS = re.compile(r"[-+]?(0[0-7_]+|[0-9_]+(:[0-9]+)+(\.[0-9_]*)?)")
"""Octal numbers, and those of base 60 like minutes and seconds."""


@dataclass(frozen=True, slots=True)
class Document:
    """What a text holds."""

    data: Any
    advice: Mapping[str, str]
    """How to write a value that is not read as a text, by its place (`files.0.mode`)."""
    faults: Mapping[str, str]
    """What is wrong whatever is wanted there, by place."""


@dataclass(frozen=True, slots=True)
class _Scalar:
    place: str
    node: yaml.ScalarNode
    key: str | None
    """Of a value in a mapping."""
    is_key: bool = False
    is_double: bool = False
    """Whether it is a key that its mapping has before."""


def read(text: str) -> Document:
    """Read one document; what is always wrong is read on as a text, so that other faults are found too.

    Raises:
        yaml.YAMLError: if it is not YAML.
    """
    loader = yaml.SafeLoader(text)
    try:
        root = loader.get_single_node()
        advice: dict[str, str] = {}
        faults: dict[str, str] = {}
        for scalar in _scalars(root, "", None, set()):
            reading, is_wrong = _reading(scalar.node)
            if scalar.is_double:
                faults[scalar.place] = (
                    f"It stands there twice, in line {scalar.node.start_mark.line + 1} again."
                )
            elif reading is not None:
                advice[scalar.place] = _advice(scalar, reading)
                if is_wrong or scalar.is_key:
                    faults[scalar.place] = advice[scalar.place]
                    scalar.node.tag = f"{_TAG}str"
        data = None if root is None else loader.construct_document(root)
    finally:
        loader.dispose()
    return Document(data, advice, faults)


def _scalars(node: yaml.Node | None, place: str, key: str | None, seen: set[int]) -> Iterator[_Scalar]:
    """Return keys and values with their places, each once: an alias may lead back to where it is."""
    if node is None or id(node) in seen:
        return
    seen.add(id(node))
    match node:
        case yaml.ScalarNode():
            yield _Scalar(place, node, key)
        case yaml.SequenceNode():
            for index, each in enumerate(node.value):
                yield from _scalars(each, _below(place, str(index)), None, seen)
        case yaml.MappingNode():
            names: set[str] = set()
            for name, each in node.value:
                if isinstance(name, yaml.ScalarNode):
                    inner = _below(place, name.value)
                    yield _Scalar(inner, name, None, is_key=True, is_double=name.value in names)
                    names.add(name.value)
                    yield from _scalars(each, inner, name.value, seen)


def _below(place: str, name: str) -> str:
    return f"{place}.{name}" if place else name


def _reading(node: yaml.ScalarNode) -> tuple[str | None, bool]:
    """Return what YAML reads a value as, None for a text; and whether that is always wrong."""
    words = _READINGS.get(node.tag.removeprefix(_TAG))
    if words is None:
        return None, False
    try:
        value = yaml.SafeLoader("").construct_object(node)
    except ValueError:
        return "a date that there is not", True
    is_number = words == _READINGS["int"] and _OTHER_DIGITS.fullmatch(node.value) is not None
    return words.format(str(value).lower()), is_number and node.value.strip("+-0_") != ""


def _advice(scalar: _Scalar, reading: str) -> str:
    quoted = f'"{scalar.node.value}"'
    if scalar.is_key:
        return f"YAML reads this key as {reading}. Quote it: {quoted}:"
    written = quoted if scalar.key is None else f"{scalar.key}: {quoted}"
    number = reading.rpartition(" ")[2]
    otherwise = (
        f"; if the number is meant, write {number}" if _OTHER_DIGITS.fullmatch(scalar.node.value) else ""
    )
    subject = scalar.node.value or "an empty value"
    return f"YAML reads {subject} as {reading}. Quote it if it is a text: {written}{otherwise}."
