"""The public keys of an `authorized_keys` text, as sshd(8) describes it. Pure.

Proxmox looks at each line by itself with `ssh-keygen -l`, which refuses a comment, more than one blank
between options and key, and a line of no key (PVE::Tools 9.2, `validate_ssh_public_keys`); so what is sent
holds the keys alone.
"""

import re
from collections.abc import Iterator

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import load_ssh_public_key

_TYPE = (
    r"(?:ssh-(?:ed25519|rsa|dss)|ecdsa-sha2-nistp(?:256|384|521)"
    r"|sk-(?:ssh-ed25519|ecdsa-sha2-nistp256)@openssh\.com"
    r"|(?:sk-)?(?:ssh-(?:ed25519|rsa|dss)|ecdsa-sha2-nistp(?:256|384|521))-cert-v01@openssh\.com)"
)
_QUOTED = r'"(?:[^"\\\x00-\x1f\x7f]|\\"?+)*+"'
_OPTION = rf"[A-Za-z0-9-]++(?:={_QUOTED})?"
_LINE = re.compile(
    rf"(?:(?P<options>{_OPTION}(?:,{_OPTION})*+)[ \t]++)?"
    rf"(?P<type>{_TYPE})[ \t]++(?P<key>[A-Za-z0-9+/]{{16,}}={{0,2}})"
    r"(?:[ \t]++(?P<comment>[^\x00-\x08\x0a-\x1f\x7f]*+))?"
)


def keys(text: str) -> Iterator[tuple[int, str | None]]:
    """Return the keys of a text with their line numbers from 1, with options and comment; None is no key.

    Empty lines and comment lines are passed over, and a line may end as it does on Windows.
    """
    for number, line in enumerate(text.split("\n"), start=1):
        stripped = line.strip(" \t\r")
        if stripped and not stripped.startswith("#"):
            yield number, _normal(stripped)


def _is_whole(kind: str, key: str) -> bool:
    """Return whether a base64 text is a whole key of the type that is written before it."""
    try:
        load_ssh_public_key(f"{kind} {key}".encode())
    except UnsupportedAlgorithm:
        return True  # A certificate on a security key: sshd knows the type, the library does not.
    except ValueError:
        return False
    return True


def _normal(line: str) -> str | None:
    match = _LINE.fullmatch(line)
    if match is None or not _is_whole(match["type"], match["key"]):
        return None
    return " ".join(filter(None, match.group("options", "type", "key", "comment")))
