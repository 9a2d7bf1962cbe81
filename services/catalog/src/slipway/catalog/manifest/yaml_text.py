"""YAML as people write it: what YAML 1.1 reads otherwise than it looks. Pure.

`0640` and `22:22` are other numbers than they show, `NO` is false, `1.10` is 1.1, `2026-11-29` a date. Such a
number, a date that there is not, and a key that is no text are wrong everywhere; the rest is wrong only where
a text is wanted, which the model knows. How a fault is told stands in `wording`.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import yaml

Place = tuple[str, ...]
"""Names and indexes from the top: `("files", "0", "mode")`."""

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
class Misread:
    """A value or key that is written like a text and not read as one."""

    written: str
    reading: str
    """What it is read as, in words."""
    key: str | None = None
    """Of a value in a mapping."""
    number: str | None = None
    """The number that it is read as, where it shows another one."""
    is_key: bool = False


@dataclass(frozen=True, slots=True)
class Document:
    """What a text holds."""

    data: Any
    misread: Mapping[Place, Misread]
    """Values that are not read as a text, by place."""
    wrong: Mapping[Place, Misread]
    """Those that are wrong whatever is wanted there."""
    doubles: Mapping[Place, int]
    """Keys that their mapping has before, with the line, from 1."""


@dataclass(frozen=True, slots=True)
class _Scalar:
    place: Place
    node: yaml.ScalarNode
    key: str | None
    is_key: bool = False
    is_double: bool = False
    """Whether it is a key that its mapping has before."""


def read(text: str) -> Document:
    """Read one document; what is always wrong is read on as a text, so that other faults are found too.

    Raises:
        yaml.YAMLError: if it is not YAML.
        RecursionError: if it is nested too deeply.
    """
    loader = yaml.SafeLoader(text)
    try:
        root = loader.get_single_node()
        misread: dict[Place, Misread] = {}
        wrong: dict[Place, Misread] = {}
        doubles: dict[Place, int] = {}
        for scalar in _scalars(root, (), None, set()):
            found, is_wrong = _misread(scalar)
            if scalar.is_double:
                doubles[scalar.place] = scalar.node.start_mark.line + 1
            elif found is not None:
                misread[scalar.place] = found
                if is_wrong or scalar.is_key:
                    wrong.setdefault(scalar.place, found)
                    scalar.node.tag = f"{_TAG}str"
        data = None if root is None else loader.construct_document(root)
    finally:
        loader.dispose()
    return Document(data, misread, wrong, doubles)


def _scalars(node: yaml.Node | None, place: Place, key: str | None, seen: set[int]) -> Iterator[_Scalar]:
    """Return keys and values with their places, each once: an alias may lead back to where it is."""
    if node is None or id(node) in seen:
        return
    seen.add(id(node))
    match node:
        case yaml.ScalarNode():
            yield _Scalar(place, node, key)
        case yaml.SequenceNode():
            for index, each in enumerate(node.value):
                yield from _scalars(each, (*place, str(index)), None, seen)
        case yaml.MappingNode():
            names: set[str] = set()
            for name, each in node.value:
                if isinstance(name, yaml.ScalarNode):
                    inner = (*place, name.value)
                    yield _Scalar(inner, name, None, is_key=True, is_double=name.value in names)
                    names.add(name.value)
                    yield from _scalars(each, inner, name.value, seen)


def _misread(scalar: _Scalar) -> tuple[Misread | None, bool]:
    """Return how YAML reads a scalar, None for a text; and whether that is always wrong."""
    node = scalar.node
    kind = node.tag.removeprefix(_TAG)
    if kind not in _READINGS:
        return None, False
    found = Misread(node.value, "", scalar.key, is_key=scalar.is_key)
    try:
        value = str(yaml.SafeLoader("").construct_object(node)).lower()
    except ValueError:
        is_date = kind == "timestamp"
        reading = "a date that there is not" if is_date else "a number of more digits than can be read"
        return replace(found, reading=reading), True
    reading = _READINGS[kind].format(value)
    is_other = kind == "int" and _OTHER_DIGITS.fullmatch(node.value) and node.value.strip("+-0_") != ""
    number = value if _OTHER_DIGITS.fullmatch(node.value) else None
    return replace(found, reading=reading, number=number), bool(is_other)
