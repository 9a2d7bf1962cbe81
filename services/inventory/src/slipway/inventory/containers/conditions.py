"""The words of searches: what each one means, and how its values are read. Pure.

What a word is in SQL stands in `clauses`, under the same name. `docs/reference/search.md` has a row for each.
"""

import ipaddress
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from types import MappingProxyType

from slipway.contracts.values import Lifecycle, Power
from slipway.inventory.containers.defaults import FIRST_VMID, LAST_VMID
from slipway.inventory.containers.terms import TEXT

STATUSES = (*(each for each in Lifecycle if each is not Lifecycle.DELETED), *Power)
_VMIDS = re.compile(r"([0-9]{1,10})(?:-([0-9]{1,10}))?")
_SPECIAL = re.compile(r"[\\%_]")
_ESCAPED = re.compile(r"\\(.)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Word:
    """A word that may stand before a colon."""

    example: str
    meaning: str
    read: Callable[[str], str]
    """Returns a value as SQL compares it; raises ValueError with what is wrong."""


def nearest(text: str, among: tuple[str, ...]) -> str:
    """Return a sentence about what was probably meant; empty if nothing is near."""
    near = get_close_matches(text.lower(), among, n=1, cutoff=0.5)
    return f" Did you mean '{near[0]}'?" if near else ""


def is_vmids(text: str) -> bool:
    """Return whether a text without a word is a VMID, or a range of them."""
    try:
        _vmids(text)
    except ValueError:
        return False
    return True


def single_vmid(value: str) -> int | None:
    """Return the VMID of a value that was read, if it is not a range of several."""
    first, _, last = value[1:-1].partition(",")
    return int(first) if first == last else None


def as_written(text: str) -> str:
    """Return a text as it was written, of its value."""
    return _ESCAPED.sub(r"\1", text[1:-1])


def _as_it_is(text: str) -> str:
    return text


def _name(text: str) -> str:
    """Return a whole name; a pattern would fit nothing, and one that is left out with `-` nothing either."""
    if "*" in text or "?" in text:
        raise ValueError("it takes a whole name; `*` and `?` stand for anything after name: alone.")
    return text


def _vmids(text: str) -> str:
    numbers = _VMIDS.fullmatch(text)
    first, last = (int(numbers[1]), int(numbers[2] or numbers[1])) if numbers else (0, 0)
    if not FIRST_VMID <= first <= last <= LAST_VMID:
        raise ValueError(f"a VMID goes from {FIRST_VMID} to {LAST_VMID}; a range goes upwards, like 105-110.")
    return f"[{first},{last}]"


def _status(text: str) -> str:
    if text.lower() not in STATUSES:
        raise ValueError(f"it is one of {', '.join(STATUSES)}.{nearest(text, STATUSES)}")
    return text.lower()


def _network(text: str) -> str:
    try:
        network = ipaddress.ip_network(text, strict=False)
    except ValueError:
        network = None
    # Python takes a scope (`fe80::1%eth0`), PostgreSQL does not.
    if network is None or "%" in text:
        raise ValueError("it is an address like 10.0.0.5, or a network like 10.0.0.0/24.")
    return str(network)


def _pattern(text: str) -> str:
    return _literal(text.lower()).replace("*", "%").replace("?", "_")


def _contained(text: str) -> str:
    return f"%{_literal(text)}%"


def _literal(text: str) -> str:
    return _SPECIAL.sub(r"\\\g<0>", text)


WORDS: Mapping[str, Word] = MappingProxyType(
    {
        "tag": Word(
            example="tag:web",
            meaning="has this tag; upper and lower case are the same",
            read=lambda text: _name(text).lower(),
        ),
        "node": Word(
            example="node:pve1",
            meaning="is on this node; upper and lower case are the same",
            read=lambda text: _name(text).lower(),
        ),
        "cluster": Word(example="cluster:home", meaning="is in the cluster of this name or id", read=_name),
        "status": Word(
            example="status:running",
            meaning="is in this state of ours, or has this power: " + ", ".join(f"`{s}`" for s in STATUSES),
            read=_status,
        ),
        "template": Word(example="template:nginx-site", meaning="was made from this template", read=_name),
        "ip": Word(
            example="ip:10.0.0.0/24",
            meaning="has this address, or one in this network: in use now, or fixed in its config",
            read=_network,
        ),
        "vmid": Word(
            example="vmid:105-110",
            meaning="has this VMID, or one in this range; the number alone is the same",
            read=_vmids,
        ),
        "name": Word(
            example="name:web-*",
            meaning="has this whole hostname; `*` and `?` stand for anything, case does not count",
            read=_pattern,
        ),
        "warning": Word(example="warning:discovery-pending", meaning="has this warning", read=_as_it_is),
    }
)
"""By the word before the colon."""
FREE_TEXT = Word(
    example="shop",
    meaning="is a part of its hostname, template, tags, description, VMID or address; case does not count",
    read=_contained,
)
"""Of what stands without a word, or in quotes."""
READERS: Mapping[str, Word] = MappingProxyType({**WORDS, TEXT: FREE_TEXT})
