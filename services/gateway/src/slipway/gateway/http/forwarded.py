"""Who a request comes from, as proxies tell it in `Forwarded` (RFC 7239) and `X-Forwarded-*`. Pure.

Anyone can send these headers. So only what a trusted proxy added counts: the list is read from its right end,
over the addresses of trusted proxies, to the first other one. That is the client. What cannot be read ends
the walk: the client is then the last proxy that is known.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

MOST_BYTES = 2000
"""A longer header is ignored: no chain of proxies needs it."""

Network = IPv4Network | IPv6Network
Address = IPv4Address | IPv6Address
Headers = Mapping[bytes, bytes]

_PAIR = re.compile(
    rb"""[ \t]*(?P<name>[!#$%&'*+.^_`|~0-9A-Za-z-]+)=
    (?:"(?P<quoted>(?:[^"\\]|\\.)*)"|(?P<token>[!#$%&'*+.^_`|~0-9A-Za-z:\[\]-]+))[ \t]*(?P<end>[;,]|$)""",
    re.VERBOSE,
)
_ESCAPED = re.compile(rb"\\(.)")
_SCHEMES = {"http", "https"}
_PREFIX = re.compile(r"(/[A-Za-z0-9._~-]+)+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Where a request comes from."""

    client: str
    scheme: str | None = None
    """What the client speaks; None if no proxy says."""
    prefix: str = ""
    """The path that a proxy took away in front of ours."""


@dataclass(frozen=True, slots=True)
class _Hop:
    address: Address | None
    scheme: str | None = None


def origin_of(peer: str, headers: Headers, trusted: Sequence[Network]) -> Origin:
    """Return where a request comes from.

    Where `Forwarded` and `X-Forwarded-For` differ, the proxy passes one on that it does not write itself:
    then neither counts, since a client may have written it.

    Args:
        peer: the address that the connection comes from.
        headers: by small name; several of one name joined by commas.
        trusted: the networks of the proxies.
    """
    if not is_trusted(peer, trusted):
        return Origin(client=peer)
    standard, usual = _standard(headers), _usual(headers)
    hops = [_client(peer, each, trusted) for each in (standard, usual) if each]
    prefix = _text(headers, b"x-forwarded-prefix").rstrip("/")
    prefix = prefix if _PREFIX.fullmatch(prefix) else ""
    if len({client for client, _ in hops}) > 1:
        return Origin(client=peer, prefix=prefix)
    client = hops[0][0] if hops else peer
    said = _last(_text(headers, b"x-forwarded-proto"))
    schemes = {*(scheme for _, scheme in hops if scheme), *({said} if said in _SCHEMES else ())}
    return Origin(client=client, scheme=schemes.pop() if len(schemes) == 1 else None, prefix=prefix)


def is_trusted(peer: str, trusted: Sequence[Network]) -> bool:
    """Return whether an address is one of the trusted proxies'."""
    address = _address(peer)
    return address is not None and any(address in network for network in trusted)


def _client(peer: str, hops: Sequence[_Hop], trusted: Sequence[Network]) -> tuple[str, str | None]:
    """Return the client's address, and what it speaks as the proxy that it reached says."""
    client, scheme = peer, None
    for hop in reversed(hops):
        if hop.address is None:
            break
        client, scheme = str(hop.address), hop.scheme
        if not is_trusted(client, trusted):
            break
    return client, scheme


def _standard(headers: Headers) -> list[_Hop]:
    """Read `Forwarded`; nothing if it has no end where it should have one, or is too long."""
    value = headers.get(b"forwarded", b"")
    if len(value) > MOST_BYTES:
        return []
    hops: list[_Hop] = []
    fields: dict[str, str] = {}
    at = 0
    while at < len(value):
        pair = _PAIR.match(value, at)
        if pair is None or (pair["end"] and pair.end() == len(value)):
            return []
        text = pair["token"] if pair["quoted"] is None else _ESCAPED.sub(rb"\1", pair["quoted"])
        fields[pair["name"].decode("latin-1").lower()] = text.decode("latin-1")
        at = pair.end()
        if pair["end"] != b";":
            hops.append(_Hop(_address(fields.get("for", "")), _scheme(fields.get("proto", ""))))
            fields = {}
    return hops


def _usual(headers: Headers) -> list[_Hop]:
    value = _text(headers, b"x-forwarded-for")
    return [_Hop(_address(each.strip())) for each in value.split(",")] if value else []


def _scheme(text: str) -> str | None:
    return text.lower() if text.lower() in _SCHEMES else None


def _text(headers: Headers, name: bytes) -> str:
    value = headers.get(name, b"")
    return value.decode("latin-1").strip() if len(value) <= MOST_BYTES else ""


def _last(text: str) -> str:
    return text.rpartition(",")[2].strip().lower()


def _address(text: str) -> Address | None:
    """Read `192.0.2.1`, `192.0.2.1:80`, `2001:db8::1`, `[2001:db8::1]:80`; None for `unknown` and `_name`."""
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ip_address(text)
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address
