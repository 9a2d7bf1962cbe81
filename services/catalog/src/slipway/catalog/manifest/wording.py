"""Tells what is wrong with a `template.yaml`: what has to be there, as the model's JSON Schema has it. Pure.

A field's own description is the text after "It has to be". Nothing here repeats a value at length.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import yaml

from slipway.catalog.manifest.yaml_text import Document, Misread, Place

Schema = Mapping[str, Any]
Error = Mapping[str, Any]
"""One of pydantic's: `loc`, `type`, `ctx`."""

MOST_FAULTS = 30
"""That one message tells."""
_MOST_SHOWN = 60
"""Characters of a value or key."""
_KINDS = {
    "string": "a text",
    "boolean": "true or false",
    "array": "a list, like [a, b], or with `- ` before each item",
    "object": "keys with values, like `a: b`",
}
_SYNTAX = (
    (r"'\\t'", "A tab stands there; YAML is indented with spaces."),
    (
        "cannot start any token|undefined alias|determine a constructor|alphabetic or|chomping|unhashable",
        'A text that begins with one of @ ` % * & ! | > { [ is quoted: "@a".',
    ),
    (
        "mapping values are not allowed|sequence entries are not allowed",
        'A text that begins with "- ", or that has ": " in it, is quoted: "a: b".',
    ),
    ("unknown escape", r"Between double quotes a backslash begins an escape; use single quotes: 'a\d'."),
    ("unexpected end of stream", "The quote is not closed."),
    ("expected ',' or|found '<stream end>'", "The bracket is not closed, or a text in it is to be quoted."),
    ("another document", "It is one document, without a second ---."),
)
"""What to do, by the words of PyYAML 6."""
_QUOTE = "If the value there is a text, quote it; what belongs together is indented alike, with spaces."


def syntax(error: yaml.YAMLError) -> str:
    """Return why a text is no YAML, with the line and what to do."""
    if not isinstance(error, yaml.MarkedYAMLError) or error.problem_mark is None:
        return shown(" ".join(str(error).split()), most=200)
    problem = ": ".join(filter(None, (error.context, error.problem)))
    advice = next((advice for pattern, advice in _SYNTAX if re.search(pattern, problem)), _QUOTE)
    return f"line {error.problem_mark.line + 1}: {shown(problem, most=200)}. {advice}"


def faults(schema: Schema, document: Document, errors: Sequence[Error]) -> str:
    """Return all faults of a document, with their places.

    Args:
        schema: the JSON Schema of the model, with its definitions.
        document: as it was read.
        errors: what pydantic found; may be empty.
    """
    told: dict[Place, str] = {}
    for place, line in document.doubles.items():
        told[place] = f"It stands there twice, in line {line} again."
    for place, found in document.wrong.items():
        told.setdefault(place, _misread(found, schema, place))
    for error in errors:
        place = _place(error, schema)
        if place in document.misread and "string" in _types(schema, place):
            told.setdefault(place, _misread(document.misread[place], schema, place))
        else:
            told.setdefault(place, _message(error, schema, place))
    named = [f"{_dotted(place)}: {words}" if place else words for place, words in told.items()]
    more = len(named) - MOST_FAULTS
    told_at_most = [each.removesuffix(".") for each in named[:MOST_FAULTS]]
    return "; ".join([*told_at_most, *([f"and {more} more"] if more > 0 else [])]) + "." * bool(named)


def shown(text: str, *, most: int = _MOST_SHOWN) -> str:
    """Return a text as a message repeats it."""
    return text if len(text) <= most else f"{text[:most]}…"


def _dotted(place: Place) -> str:
    return ".".join(shown(name) for name in place)


def _place(error: Error, schema: Schema) -> Place:
    """Return the place of the value that is meant: of a union, pydantic names each type below it."""
    place = tuple(str(name) for name in error["loc"] if name != "[key]")
    is_known = error["type"] == "extra_forbidden" or bool(_options(schema, place))
    return place if is_known else place[:-1]


def _misread(found: Misread, schema: Schema, place: Place) -> str:
    quoted = f'"{shown(found.written)}"'
    read = f"YAML reads {shown(found.written) or 'an empty value'} as {shown(found.reading)}."
    if found.is_key:
        return f"{read} Quote this key: {quoted}:"
    prefix = f"{shown(found.key)}: " if found.key is not None else ""
    options = _options(schema, place)
    texts = [option for option in options if option.get("type") == "string"]
    if texts and not any(_fits(found.written, option) for option in texts):
        return f"{read} It has to be {_right(schema, place)}."
    if texts:
        return f"{read} Quote it: {prefix}{quoted}."
    if options:
        meant = f"; if {shown(found.number)} is meant, write that" if found.number else ""
        return f"{read} It has to be {_right(schema, place)}, in plain decimal digits{meant}."
    return f"{read} Quote it if it is a text: {prefix}{quoted}."


def _fits(text: str, option: Schema) -> bool:
    return text in option.get("enum", [text]) and bool(re.search(option.get("pattern", ""), text))


def _message(error: Error, schema: Schema, place: Place) -> str:
    match error["type"]:
        case "value_error":
            return f"{error['ctx']['error']}."
        case "extra_forbidden":
            return f"There is no such key; there are {_keys(_options(schema, place[:-1]))}."
        case "missing":
            return f"It is missing. It has to be {_right(schema, place)}."
        case _ if error["loc"][-1:] == ("[key]",):
            names = next(option["propertyNames"]["enum"] for option in _options(schema, place[:-1]))
            return f"There is no such key; there are {', '.join(names)}."
        case _:
            return f"It has to be {_right(schema, place)}."


def _right(schema: Schema, place: Place) -> str:
    """Return what has to be at a place, in words."""
    return " or ".join(_kind(option) for option in _options(schema, place)) or "left out"


def _kind(option: Schema) -> str:
    match option:
        case {"properties": _}:
            return f"keys with values: {_keys([option])}"
        case {"description": str(description)}:
            return description
        case {"enum": list(names)}:
            return f"one of {', '.join(names)}"
        case {"type": "integer" | "number" as kind}:
            return f"{'a whole number' if kind == 'integer' else 'a number'}{_range(option)}"
        case _:
            return _KINDS.get(option.get("type", ""), "a value")


def _range(option: Schema) -> str:
    least, most, above = (option.get(name) for name in ("minimum", "maximum", "exclusiveMinimum"))
    if above is not None:
        return f" over {above:g}"
    if least is None:
        return ""
    return f", {least} or more" if most is None else f" from {least} to {most}"


def _keys(options: list[Schema]) -> str:
    return ", ".join(name for option in options for name in option.get("properties", {}))


def _types(schema: Schema, place: Place) -> set[str]:
    return {option.get("type", "") for option in _options(schema, place)}


def _options(schema: Schema, place: Place) -> list[Schema]:
    """Return what the schema takes at a place, none for one that it does not know; nothing is left out."""
    options = list(_resolved(schema, schema))
    for name in place:
        children = [child for option in options if (child := _child(option, name)) is not None]
        options = [each for child in children for each in _resolved(child, schema)]
    return [option for option in options if option.get("type") != "null"]


def _child(option: Schema, name: str) -> Schema | None:
    for child in (
        option.get("properties", {}).get(name),
        option.get("items"),
        option.get("additionalProperties"),
    ):
        if isinstance(child, Mapping):
            return child
    return None


def _resolved(option: Schema, schema: Schema) -> Iterator[Schema]:
    if "$ref" in option:
        yield from _resolved(schema["$defs"][option["$ref"].rpartition("/")[2]], schema)
    elif "anyOf" in option:
        for each in option["anyOf"]:
            yield from _resolved(each, schema)
    else:
        yield option
