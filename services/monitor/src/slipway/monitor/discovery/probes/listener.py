"""A listening socket, as every probe returns it."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Listener:
    """One listening socket."""

    protocol: str
    address: str
    """As bound; `*` is every address."""
    port: int
    process: str | None
    pid: int | None


def bare(address: str) -> str:
    """Write an address without brackets and zone; every address is `*`."""
    plain = address.partition("%")[0].strip("[]")
    return "*" if plain in {"0.0.0.0", "::", "*"} else plain  # noqa: S104  read, not bound
