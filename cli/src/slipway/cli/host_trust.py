"""Which machine is trusted: what it shows is compared by a person, or with what was given beforehand."""

from collections.abc import Mapping
from typing import Any

from slipway.cli.confirmation import agreed
from slipway.cli.errors import CommandFailed
from slipway.cli.questions import NotAsked, has_terminal
from slipway.cli.terminal import warn
from slipway.client.transport import Transport

_HASHED = "SHA256:"
_KINDS = ("ed25519", "ecdsa", "rsa")


class Untrusted(CommandFailed):
    """The machine shows another host key or certificate than was given, or than one expects."""


async def probe(client: Transport, address: str, *, port: int, api_port: int) -> dict[str, Any]:
    """Return what a machine shows to whom it does not know."""
    body = {"address": address, "port": port, "api_port": api_port}
    return await client.ask_host("/clusters/probe", body)


def trusted_host_key(
    seen: Mapping[str, Any], *, given: str | None, accept_new: bool, is_certificate_known: bool = False
) -> str:
    """Return the host key that is trusted.

    Args:
        seen: what the machine shows.
        given: the key, or its `SHA256:` fingerprint, if it is known beforehand.
        accept_new: whether to trust whatever the machine shows.
        is_certificate_known: whether the certificate was compared before, and is not shown again.

    Raises:
        Untrusted: if it shows another one, or none, or if the answer is no.
        NotAsked: if it can't be compared by anybody.
    """
    key, fingerprint = seen["host_key"], seen["host_key_fingerprint"]
    if key is None:
        raise Untrusted(" ".join(seen["problems"]))
    for problem in seen["problems"]:
        warn(problem)
    where = f"{seen['address']}, port {seen['port']}"
    if given is not None:
        is_same = given == fingerprint if given.startswith(_HASHED) else given.split()[:2] == key.split()[:2]
        if not is_same:
            raise Untrusted(f"{where} shows the SSH host key {fingerprint} ({key}), not the given one.")
        return str(key)
    warn(f"The SSH host key of {where}: {key.split()[0]} {fingerprint}")
    if not is_certificate_known:
        warn(f"The certificate of {seen['endpoint']}: SHA-256 {seen['tls_fingerprint'] or 'not seen'}")
    if accept_new:
        return str(key)
    if not has_terminal():
        raise NotAsked(
            "There is no terminal to compare the SSH host key in: give it with --host-key, or accept what "
            "the machine shows with --accept-new."
        )
    kind = next((each for each in _KINDS if each in key.split()[0]), "ed25519")
    warn(f"On the node itself, `ssh-keygen -lf /etc/ssh/ssh_host_{kind}_key.pub` shows the right one.")
    if not agreed("Are they the same? [y/N] ", default=False):
        raise Untrusted("Nothing was sent to the machine.")
    return str(key)


def trusted_fingerprint(seen: Mapping[str, Any], given: str | None) -> str | None:
    """Return the certificate's fingerprint that was given, if the machine shows it."""
    if given is None:
        return None
    shown = seen["tls_fingerprint"] or ""
    if given.replace(":", "").lower() != shown.replace(":", "").lower():
        raise Untrusted(
            f"{seen['endpoint']} shows the certificate {shown or 'of nobody'}, not the given one."
        )
    return given
