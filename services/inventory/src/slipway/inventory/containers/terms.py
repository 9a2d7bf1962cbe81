"""A search that was read: which conditions a container has to fulfil."""

from dataclasses import dataclass

TEXT = "text"
"""The word of what is written without one."""


@dataclass(frozen=True, slots=True)
class Term:
    """One condition; with several values, any of them may hold."""

    word: str
    values: tuple[str, ...]
    """As `conditions` has read them."""
    is_negated: bool = False


Part = tuple[Term, ...]
"""All of its terms hold."""
Search = tuple[Part, ...]
"""Any of its parts holds; one without terms holds always, and without parts nothing does."""
EVERYTHING: Search = ((),)


def narrowed(search: Search, by: Part) -> Search:
    """Return a search of which these terms hold too."""
    return tuple((*by, *part) for part in search)
