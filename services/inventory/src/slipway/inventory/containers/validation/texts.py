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
LONGEST_SNAPSHOT_NOTES = 8192
"""Like the notes of a container; a config has at most 1 MiB in /etc/pve, with all its snapshots."""
FILLED_IN = ("cluster", "guestname", "node", "vmid")
"""The words that vzdump fills in; any other one in double braces it refuses (PVE::VZDump)."""
_BRACED = re.compile(r"\{\{([^\s{}]+)\}\}")
_MOST_SHOWN = 80
_LABEL = r"[a-zA-Z0-9]([a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?"
_NAME = re.compile(rf"{_LABEL}(\.{_LABEL})*")
LONGEST_HOSTNAME = 64
"""Linux takes no longer one (`__NEW_UTS_LEN`), and the container would not start; Proxmox takes 255."""
LONGEST_LABEL = 63
"""Of a name in the DNS (RFC 1035)."""
_LONGEST_DOMAIN = 253
_SEPARATORS = re.compile(r"[,; \t]+")
"""Between the items of a list, as Proxmox splits it (PVE::Tools, `split_list`); it keeps no line break."""
_ZONE = re.compile(r"(?P<address>fe80:[0-9a-f:.]+)%[a-z][a-z0-9_]{1,20}([:.][0-9]+)?", re.IGNORECASE)
"""A link-local address and the guest's interface (PVE::LXC::Config 9.2, `verify_ip_with_ll_iface`)."""
_TAG = re.compile(r"[a-zA-Z0-9_][a-zA-Z0-9_+.-]*")
_START = re.compile(r"(order=|up=|down=)?[0-9]{1,1000}")
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]|\r(?!\n)")
_MARKER = re.compile(r"^\s*slipway: ", re.MULTILINE)


def hostname(text: str) -> str | None:
    """Return what is wrong with a name, which may have dots in it."""
    if not _NAME.fullmatch(text):
        return (
            f"{shown(text)} is not a host's name: letters, digits and hyphens, no hyphen at either end; dots "
            f"may stand between parts of at most {LONGEST_LABEL} characters."
        )
    if len(text) > LONGEST_HOSTNAME:
        return f"At most {LONGEST_HOSTNAME} characters: Linux takes no longer name, so it would not start."
    return None


def searchdomain(text: str) -> str | None:
    """Return what is wrong with a list of search domains."""
    right = f"a domain name: parts of at most {LONGEST_LABEL} letters, digits and hyphens, dots between them"
    return _item_fault(text, is_domain, right)


def startup(text: str) -> str | None:
    """Return what is wrong with an order of starts."""
    parts = [part for part in text.split(",") if part.strip()]
    # A lone 0 is no value to Proxmox (PVE::JSONSchema 9.2, `pve_parse_startup_order`).
    is_right = parts and text != "0" and all(_START.fullmatch(part) for part in parts)
    return None if is_right else f"{shown(text)} is not like order=1,up=30,down=60."


def nameserver(text: str) -> str | None:
    """Return what is wrong with a list of name servers."""
    return _item_fault(text, _is_server, "an IP address")


def is_empty_list(text: str) -> bool:
    """Return whether a list has no items."""
    return not any(_SEPARATORS.split(text))


def description(text: str) -> str | None:
    """Return what is wrong with notes of the user's."""
    if len(text) > LONGEST_DESCRIPTION:
        return f"At most {LONGEST_DESCRIPTION} characters: Proxmox takes 8192, with Slipway's mark in them."
    if _MARKER.search(text):
        return "A line that starts with `slipway:` is Slipway's own."
    return controls(text)


def controls(text: str) -> str | None:
    """Return what is wrong with a text of several lines: control characters."""
    if found := _CONTROL.search(text):
        return (
            f"It has the control character U+{ord(found[0]):04X}, which would act on the terminal that shows "
            "it; of these, only line breaks and tabs are taken."
        )
    return None


def snapshot_notes(text: str) -> str | None:
    """Return what is wrong with the description of a snapshot; Proxmox has no limit but its config's size."""
    if len(text) > LONGEST_SNAPSHOT_NOTES:
        return f"At most {LONGEST_SNAPSHOT_NOTES} characters: the config has to hold all of its snapshots."
    return controls(text)


def backup_notes(text: str) -> str | None:
    """Return what is wrong with the notes of a backup; a line break is sent as two signs."""
    text = text.replace("\r\n", "\n")
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
    return controls(text)


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


def is_address(text: str, *, version: int | None = None) -> bool:
    """Return whether it is an IP address; without a scope (`%...`): Python takes any text there."""
    if "%" in text:
        return False
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return False
    return version in (None, address.version)


def is_domain(text: str) -> bool:
    """Return whether it is a domain name, of one part or several."""
    return len(text) <= _LONGEST_DOMAIN and bool(_NAME.fullmatch(text))


def _is_server(text: str) -> bool:
    zoned = _ZONE.fullmatch(text)
    return is_address(zoned["address"] if zoned else text)


def _item_fault(text: str, is_right: Callable[[str], bool], kind: str) -> str | None:
    """Return what is wrong with a list, whose items blanks, commas or semicolons separate."""
    items = [each for each in _SEPARATORS.split(text) if each]
    if is_empty_list(text):
        return "There is nothing between its separators; an empty text is the node's."
    wrong = next((each for each in items if not is_right(each)), None)
    return None if wrong is None else f"{shown(wrong)} is not {kind}."


def shown(text: str) -> str:
    """Return a text as a message repeats it: a megabyte is not repeated."""
    return repr(text if len(text) <= _MOST_SHOWN else f"{text[:_MOST_SHOWN]}…")
