"""The token script: its variables, what it makes in sentences, and what it prints. Pure but for its file."""

import json
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from pydantic import SecretStr

from slipway.contracts.cluster_facts import VmidRange
from slipway.contracts.connections import ADDRESS_PATTERN, AccessBounds
from slipway.contracts.problems import FieldError
from slipway.contracts.tiers import TIERS, Tier
from slipway.provisioner.cluster_access.errors import BoundsInvalid

LOOK = b"""
[ "$(id -u)" = 0 ] || { echo not-root; exit 0; }
command -v pveum >/dev/null && [ -d /etc/pve ] || { echo no-pveum; exit 0; }
printf 'node %s\\n' "$(hostname -s)"
openssl x509 -in /etc/pve/pve-root-ca.pem -noout -fingerprint -sha256 | sed 's/.*=/ca:/'
"""
"""Says who we are on a machine and which cluster it belongs to; changes nothing."""
_ID = re.compile(r"[a-z0-9]{1,20}")
_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
_ADDRESS = re.compile(ADDRESS_PATTERN)
_CHECK = re.compile(r"check ([A-Z]+) '([^']+)'")
"""Where the script itself says what each word of a bound is like."""
_CROOKED = re.compile(r"/\.{0,2}/")
"""What no plain path holds."""
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f]")
_LIKE = {
    "VMIDS": "100-199,300, and VMIDs begin at 100",
    "POOL": "slipway or slipway/inner, without a slash before it",
    "MOUNTS": "/srv/media, the whole path of a folder below /",
    "DEVICES": "/dev/dri, a path below /dev",
    "FEATURES": "mount, mknod, force_rw_sys or privileged",
    "HOOKSCRIPTS": "local:snippets/hook.sh",
}
"""Examples of what each bound is."""
_MOST_VALUE = 4000
_FIRST_LINE = "#!/bin/sh\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What a machine is."""

    is_root: bool = True
    node: str | None = None
    """The node's name; None: it is no node of Proxmox VE."""
    identity: str | None = None
    """What its cluster is known by; None is not known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Printed:
    """What the script has made, as it prints it: the body of `POST /api/v1/clusters`."""

    node: str | None
    token_id: str
    token_secret: SecretStr
    private_key: SecretStr | None
    tls_fingerprint: str | None
    ca: str | None
    vmids: VmidRange | None
    """What the key is bound to, if that is one range."""


class ScriptUnreadable(ValueError):
    """What the script printed is not what it prints when it has done its work."""


@cache
def text() -> str:
    """Return the script."""
    return files("slipway.provisioner.cluster_access").joinpath("make-token.sh").read_text(encoding="utf-8")


def variables(
    *,
    name: str,
    access_id: str,
    address: str,
    tier: Tier,
    bounds: AccessBounds,
    like: str = "",
) -> Mapping[str, str]:
    """Return the script's variables that are set.

    Raises:
        BoundsInvalid: names what can't be one, before anything is run.
    """
    values = {
        "ID": access_id,
        "LIKE": like,
        "NAME": name,
        "ADDRESS": address,
        "TIER": str(tier),
        **{field.upper(): value.strip() for field, value in bounds},
    }
    _refuse([fault for field, value in values.items() if (fault := _fault(field, value))])
    _refuse(_surplus(tier, bounds))
    return {field: value for field, value in values.items() if value}


def refuse_loose(bounds: AccessBounds) -> None:
    """Refuse bounds that bind no new key: they say what a container gets, and of none which."""
    if not (bounds.vmids or bounds.pool):
        message = "It binds the SSH key only together with vmids or pool."
        _refuse([FieldError(field=f"bounds.{field}", message=message) for field, value in bounds if value])


def command(values: Mapping[str, str], *arguments: str) -> tuple[str, ...]:
    """Return the command that runs a script from standard input with these variables."""
    return ("env", *(f"{field}={value}" for field, value in values.items()), "sh", "-s", *arguments)


def with_variables(values: Mapping[str, str], *arguments: str) -> str:
    """Return the script with its variables and arguments set at its beginning."""
    lines = "".join(f"{field}={shlex.quote(value)}\n" for field, value in values.items())
    lines += f"{shlex.join(['set', '--', *arguments])}\n" if arguments else ""
    return f"{_FIRST_LINE}{lines}{text().removeprefix(_FIRST_LINE)}"


def made(access_id: str, tier: Tier, bounds: AccessBounds) -> tuple[str, ...]:
    """Return what the script makes, in sentences."""
    user = f"slipway-{access_id}@pve"
    rights = {path: ", ".join(sorted(rights)) for path, rights in TIERS[tier].privileges.items()}
    sentences = [
        f"the user {user}, without a password, and its API token {user}!main",
        *(f"a role slipway-{access_id}-* on {path}: {privileges}" for path, privileges in rights.items()),
    ]
    if tier.uses_ssh:
        limits = ", ".join(f"{field} {value}" for field, value in bounds if value)
        bound = f"bound to {limits}" if limits else "not bound: whoever has it is root on every node"
        sentences.append(f"an SSH key slipway-{access_id} in root's authorized_keys, {bound}")
    return tuple(sentences)


def _refuse(faults: Sequence[FieldError]) -> None:
    if faults:
        raise BoundsInvalid("; ".join(f"{each.field}: {each.message}" for each in faults), errors=faults)


def _fault(field: str, value: str) -> FieldError | None:
    """Return what is wrong with a variable."""
    name = field.lower()
    if _UNPRINTABLE.search(value) or len(value) > _MOST_VALUE:
        message = f"One line of at most {_MOST_VALUE} characters."
        return FieldError(field=f"bounds.{name}" if field in _forms() else name, message=message)
    if (field == "ID" or (field == "LIKE" and value)) and not _ID.fullmatch(value):
        return FieldError(field=name, message="1 to 20 small letters and digits.")
    if field == "NAME" and not _NAME.fullmatch(value):
        return FieldError(field=name, message="1 to 63 small letters, digits and hyphens.")
    if field == "ADDRESS" and value and not _ADDRESS.fullmatch(value):
        return FieldError(field=name, message="A host's name or IP address.")
    form = _forms().get(field)
    wrong = form and next((word for word in _words(field, value) if not _is_like(word, form)), None)
    if not wrong:
        return None
    return FieldError(field=f"bounds.{name}", message=f"{wrong!r} can't be one: it is like {_LIKE[field]}.")


def _words(field: str, value: str) -> list[str]:
    if field == "POOL":
        return [value] if value else []
    return (value.replace(",", " ") if field == "VMIDS" else value).split(" ")


def _is_like(word: str, form: re.Pattern[str]) -> bool:
    return not word or bool(form.fullmatch(word) and not _CROOKED.search(f"{word}/"))


def _surplus(tier: Tier, bounds: AccessBounds) -> list[FieldError]:
    if tier.uses_ssh:
        return []
    message = f"At tier {tier} there is no SSH key to bind."
    return [FieldError(field=f"bounds.{field}", message=message) for field, value in bounds if value]


@cache
def _forms() -> Mapping[str, re.Pattern[str]]:
    """Return what the script says of each word of a bound, by variable."""
    return {field: re.compile(form) for field, form in _CHECK.findall(text())}


def read_look(output: str) -> Look:
    """Read what `LOOK` printed."""
    lines = output.splitlines()
    node = next((line.removeprefix("node ") for line in lines if line.startswith("node ")), None)
    ca = next((line for line in lines if line.startswith("ca:")), None)
    return Look(is_root="not-root" not in lines, node=node, identity=ca.strip() if ca else None)


def read_printed(output: str) -> Printed:
    """Read what the script printed.

    Raises:
        ScriptUnreadable: says what is missing; quotes nothing, since it holds secrets.
    """
    _, opening, rest = f"\n{output}".partition("\n{")
    try:
        body: dict[str, Any] = json.loads(f"{opening}{rest}")
        ssh = body.get("ssh") or {}
        key = ssh.get("private_key")
        return Printed(
            node=next(iter(ssh.get("nodes") or {}), None),
            token_id=str(body["token_id"]),
            token_secret=SecretStr(str(body["token_secret"])),
            private_key=SecretStr(str(key)) if key else None,
            tls_fingerprint=body.get("tls_fingerprint"),
            ca=body.get("ca"),
            vmids=VmidRange.model_validate(body["vmids"]) if "vmids" in body else None,
        )
    except (ValueError, KeyError, AttributeError, TypeError):
        raise ScriptUnreadable("it printed no complete request") from None
