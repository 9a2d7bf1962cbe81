"""The grammar of searches: of lists, and of the selections of batches. Pure.

`tag:web node:pve1 shop`: a blank or a `+` narrows, all of it has to hold. `a,b` is what `a` means and what
`b` means, as in `101,105-110,tag:prod+node:pve1`. A value after a comma that has no word of its own belongs
to the word before it: `tag:a,b node:pve1` is tag a or b, on that node. A VMID or a range of them never does,
but after `vmid:`. `-` before a term turns it round; quotes hold what has blanks, commas or colons in it.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from slipway.contracts.bulk import LONGEST_SELECTION
from slipway.contracts.containers import ListContainers
from slipway.contracts.problems import Invalid
from slipway.inventory.containers.conditions import READERS, WORDS, is_vmids, nearest
from slipway.inventory.containers.terms import EVERYTHING, TEXT, Part, Search, Term, narrowed
from slipway.inventory.containers.validation.texts import shown
from slipway.inventory.faults import at

MOST_VALUES = 1000
"""In one search: no more than VMIDs fit into the longest one."""
MOST_TERMS = 200
"""Each is compared with every container; parts that are one word alone are one term together."""
MOST_SLOW = 20
"""Values of words for which much of every container is read."""
_SLOW = frozenset({TEXT, "ip"})
_MOST_FAULTS = 5
_TERM = re.compile(
    r"""(?P<minus>-(?=\S))?
    (?:(?P<word>[A-Za-z][\w-]*):)?
    (?:"(?P<quoted>(?:[^"\\]|\\.)*)"|(?P<bare>(?:[^\s,"+]|\+(?!-?[A-Za-z][\w-]*:))*))""",
    re.VERBOSE,
)
_NARROWS = re.compile(r"\s+(?:\+\s*)?|\+")
_COMMA = re.compile(r"\s*,\s*")
_ESCAPED = re.compile(r"\\(.)")
_EQUALS = re.compile(rf"({'|'.join(WORDS)})!?=", re.IGNORECASE)
_NONE = Term(TEXT, ())


class SearchInvalid(Invalid):
    """The search can't be read."""

    code = "search.invalid"


class Unreadable(Exception):
    """A search that can't be read; the message names each place."""


def search_of(query: ListContainers) -> Search:
    """Return which containers a list has: its filters are the same conditions as the words of `q`.

    Raises:
        SearchInvalid: names `q`, or the filter.
    """
    exact = ((word, getattr(query, word)) for word in ("cluster", "node", "template", "tag", "warning"))
    filters = [_filter(word, value) for word, value in exact if value]
    filters += [Term("status", tuple(states)) for states in (query.lifecycle, query.power) if states]
    if not (query.q or "").strip():
        return narrowed(EVERYTHING, tuple(filters))
    try:
        return narrowed(parse(query.q or ""), tuple(filters))
    except Unreadable as error:
        raise at("q", SearchInvalid, str(error)) from error


def _filter(word: str, value: str) -> Term:
    try:
        return Term(word, (READERS[word].read(value),))
    except ValueError as error:
        raise at(word, SearchInvalid, f"{shown(value)} is no value of {word}: {error}") from error


def parse(text: str) -> Search:
    """Read a search.

    Raises:
        Unreadable: names every place that can't be read.
    """
    if len(text) > LONGEST_SELECTION:
        raise Unreadable(f"It has {len(text)} characters; {LONGEST_SELECTION} are the most.")
    faults: list[str] = []
    parts: list[list[_Written]] = [[]]
    for written in _terms(text):
        if written.fault:
            faults.append(f"At character {written.place}: {written.fault}")
        elif written.is_another_value:
            parts[-1][-1].join(written)
        elif written.begins_part and parts[-1]:
            parts.append([written])
        else:
            parts[-1].append(written)
    if faults:
        raise Unreadable(" ".join(faults[:_MOST_FAULTS]))
    return _bounded(tuple(tuple(each.term for each in part) for part in parts))


@dataclass(slots=True)
class _Written:
    """A term as it is written."""

    place: int
    """Its first character's, from 1."""
    begins_part: bool = False
    is_another_value: bool = False
    """It belongs to the term before it."""
    has_word: bool = False
    """Its own, or that of the term whose value it is."""
    term: Term = _NONE
    fault: str = ""

    def join(self, other: "_Written") -> None:
        """Take another value."""
        self.term = Term(self.term.word, (*self.term.values, *other.term.values), self.term.is_negated)


def _terms(text: str) -> Iterator[_Written]:
    """Read one term after the other; what can't be read is one with a fault."""
    end, position = len(text.rstrip()), len(text) - len(text.lstrip())
    before: _Written | None = None
    is_after_comma = True
    while True:
        match = _TERM.match(text, position, end)
        written = _Written(position + 1, begins_part=is_after_comma)
        if match is None or match.end() == position:
            written.fault = _unexpected(text, position, end)
        else:
            _read(written, match, before if is_after_comma else None)
            position = match.end()
        yield written
        before = written
        comma, narrows = _COMMA.match(text, position, end), _NARROWS.match(text, position, end)
        separator = comma or narrows
        if separator is None:
            if position < end:
                yield _Written(position + 1, fault=_unexpected(text, position, end))
            return
        is_after_comma, position = comma is not None, separator.end()


def _unexpected(text: str, position: int, end: int) -> str:
    """Return what is wrong where no term or separator can be read."""
    match text[position:end][:1]:
        case '"':
            return "a quote begins here that has no end, or that does not stand around a whole value."
        case "" | ",":
            return "nothing stands here; a VMID, a range of them, WORD:VALUE or a text is expected."
        case letter:
            return f"{letter!r} is not expected; quotes stand around a whole value."


def _read(written: _Written, match: re.Match[str], before: _Written | None) -> None:
    """Read a term; `before` is the one that stands before its comma."""
    is_quoted = match["quoted"] is not None
    value = _ESCAPED.sub(r"\1", match["quoted"]) if is_quoted else match["bare"]
    if match["word"]:
        word, written.has_word = match["word"].lower(), True
    else:
        word = TEXT if is_quoted or not is_vmids(value) else "vmid"
        if before is not None and not before.fault:
            _take_word_of(before, written, word)
            word = before.term.word if written.is_another_value else word
    if written.is_another_value and match["minus"]:
        written.fault = f"'-' stands before the whole list of values, like -{word}:a,b."
    elif word not in (WORDS if match["word"] else READERS):
        words = ", ".join(f"{each}:" for each in WORDS)
        hint = nearest(word, tuple(WORDS))
        written.fault = (
            f"there is no word {shown(word)}.{hint} The words are {words};"
            " a text with a colon stands in quotes."
        )
    elif word == TEXT and not is_quoted and (wrong := _no_text(value)):
        written.fault = wrong
    elif not value:
        written.fault = f"{word}: wants a value." if match["word"] else "the text is empty."
    else:
        try:
            written.term = Term(word, (READERS[word].read(value),), bool(match["minus"]))
        except ValueError as error:
            written.fault = f"{shown(value)} is no value of {word}: {error}"


def _no_text(value: str) -> str | None:
    """Return what is wrong with a text that was meant as something else, which it would not do."""
    if named := _EQUALS.match(value):
        example = WORDS[named[1].lower()].example
        return f"a colon stands after a word, like {example}; a text like {shown(value)} stands in quotes."
    if "*" in value:
        return (
            f"a text is found anywhere, so {shown(value)} takes no `*`; name:web-* is names that begin so, "
            "and quotes hold a real `*`."
        )
    return None


def _take_word_of(before: _Written, written: _Written, word: str) -> None:
    """Make a term without a word another value of the one before its comma, if it is one."""
    is_vmid_of_word = before.has_word and before.term.word == "vmid"
    if is_vmid_of_word or (word == TEXT and (before.has_word or before.term.word == TEXT)):
        written.is_another_value, written.has_word = True, before.has_word


def _bounded(search: Search) -> Search:
    """Return a search with its parts of one word alone as one part; refuse one that asks for too much."""
    alone: dict[str, tuple[str, ...]] = {}
    others: list[Part] = []
    for part in search:
        if len(part) == 1 and not part[0].is_negated:
            alone[part[0].word] = (*alone.get(part[0].word, ()), *part[0].values)
        else:
            others.append(part)
    merged = (*((Term(word, values),) for word, values in alone.items()), *others)
    terms = [term for part in merged for term in part]
    numbers = {
        "terms": (len(terms), MOST_TERMS),
        "values": (sum(len(term.values) for term in terms), MOST_VALUES),
        "texts and addresses": (sum(len(term.values) for term in terms if term.word in _SLOW), MOST_SLOW),
    }
    for what, (number, most) in numbers.items():
        if number > most:
            raise Unreadable(f"It has {number} {what}; {most} are the most.")
    return merged
