"""The texts that creations and jobs both take: one rule for each. Pure; a fault is words, or names its field.

A comma, a semicolon or a line break in one of them would add settings of its own to the property that
Proxmox makes of it.
"""

import ipaddress
import re
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType

from slipway.contracts.problems import FieldError

LONGEST_DESCRIPTION = 7800
"""Proxmox takes 8192 characters of notes (official schema); the rest is for our marker."""
LONGEST_BACKUP_NOTES = 1024
"""Official schema: `notes-template` of vzdump, counted as it is sent."""
FILLED_IN = ("cluster", "guestname", "node", "vmid")
"""The words that vzdump fills in; any other one in double braces it refuses (PVE::VZDump)."""
_BRACED = re.compile(r"\{\{([^\s{}]+)\}\}")
_MOST_SHOWN = 80
_LABEL = r"[a-zA-Z0-9]([a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?"
_HOSTNAME = re.compile(_LABEL)
_DOMAIN = re.compile(rf"(?=.{{1,253}}\Z){_LABEL}(\.{_LABEL})*")
_TAG = re.compile(r"[a-zA-Z0-9_][a-zA-Z0-9_+.-]{0,62}")
_COUNT = "[0-9]{1,9}"
_STARTUP = re.compile(rf"(?=.)((order=)?{_COUNT}(,|\Z))?(up={_COUNT}(,|\Z))?(down={_COUNT})?(?<!,)")
_MARKER = re.compile(r"^\s*slipway: ", re.MULTILINE)


def hostname(text: str) -> str | None:
    """Return what is wrong with a name."""
    right = "1 to 63 letters, digits and hyphens, no hyphen at either end"
    return None if _HOSTNAME.fullmatch(text) else f"{shown(text)} is not {right}."


def searchdomain(text: str) -> str | None:
    """Return what is wrong with a search domain."""
    return None if _DOMAIN.fullmatch(text) else f"{shown(text)} is not a domain name."


def startup(text: str) -> str | None:
    """Return what is wrong with an order of starts."""
    return None if _STARTUP.fullmatch(text) else f"{shown(text)} is not like order=1,up=30,down=60."


def nameserver(text: str) -> str | None:
    """Return what is wrong with name servers: addresses with a space between two."""
    if not text.strip():
        return "It is empty; leave it out to use the node's."
    wrong = next((each for each in text.split(" ") if not is_address(each)), None)
    return None if wrong is None else f"{shown(wrong)} is not an IP address."


def description(text: str, most: int = LONGEST_DESCRIPTION) -> str | None:
    """Return what is wrong with notes of the user's."""
    if len(text) > most:
        return f"At most {most} characters."
    if _MARKER.search(text):
        return "A line that starts with `slipway:` is Slipway's own."
    if not text.replace("\n", "").replace("\t", "").isprintable():
        return "Printable text and line breaks only."
    return None


def backup_notes(text: str) -> str | None:
    """Return what is wrong with the notes of a backup; a line break is sent as two signs."""
    sent = len(text) + text.count("\n") + text.count("\\")
    if sent > LONGEST_BACKUP_NOTES:
        counted = "; a line break and a backslash count twice" if sent != len(text) else ""
        return f"At most {LONGEST_BACKUP_NOTES} characters{counted}; these are {sent}."
    unknown = sorted(set(_BRACED.findall(text)) - set(FILLED_IN))
    if unknown:
        variables = ", ".join(f"{{{{{word}}}}}" for word in FILLED_IN)
        return (
            f"Proxmox refuses {shown(f'{{{{{unknown[0]}}}}}')}: in double braces it takes only what it fills "
            f"in ({variables}). Put a space between the braces."
        )
    return None


def tag(text: str) -> str | None:
    """Return what is wrong with a tag."""
    return None if _TAG.fullmatch(text) else f"{shown(text)} is not a tag: letters, digits, _ + . -"


_RULES: Mapping[str, Callable[[str], str | None]] = MappingProxyType(
    {
        "hostname": hostname,
        "nameserver": nameserver,
        "searchdomain": searchdomain,
        "startup": startup,
        "description": description,
    }
)


def faults(texts: Mapping[str, object]) -> Iterator[FieldError]:
    """Return the faults of these texts, by the field's name; `tags` are among them."""
    for name, rule in _RULES.items():
        text = texts.get(name)
        wrong = rule(text) if isinstance(text, str) else None
        if wrong is not None:
            yield FieldError(field=name, message=wrong)
    tags = texts.get("tags")
    for index, each in enumerate(tags if isinstance(tags, tuple) else ()):
        if (wrong := tag(each)) is not None:
            yield FieldError(field=f"tags.{index}", message=wrong)


def is_address(text: str) -> bool:
    """Return whether it is an IP address; without a scope (`%...`): Python takes any text there."""
    if "%" in text:
        return False
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def shown(text: str) -> str:
    """Return a text as a message repeats it: a megabyte is not repeated."""
    return repr(text if len(text) <= _MOST_SHOWN else f"{text[:_MOST_SHOWN]}…")
