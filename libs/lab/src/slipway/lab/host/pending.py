"""Changes that wait for the next start, as the `[pending]` section of a container's config has them.

Pure. Theory of operation (PVE::LXC::Config, PVE::AbstractConfig; PVE 9.2, recorded). Every change goes into
the section first: a new value, or None for a removal. What a running container can take at once leaves it
again in the same call; the rest stays until the next start and is lost by a rollback and a restore. A change
to the present value, and the removal of what is not there, are no changes: removing an option that only waits
therefore leaves it waiting (recorded), and `revert` is what takes it out.
"""

import re
from collections.abc import Mapping

from slipway.lab.host.configs import Config, Pending, shown_value

AT_ONCE = frozenset(
    {"description", "onboot", "startup", "protection", "hostname", "hookscript", "cores", "tags", "lock"}
)
"""Taken by a running container without its knowing."""
HOT = re.compile(r"memory|swap|cpulimit|cpuunits|net\d+|mp\d+|dev\d+")
HOT_REMOVAL = re.compile(r"swap|cpulimit|cpuunits|net\d|unused\d+")
NEVER_EXCHANGED = re.compile(r"(mp|dev)\d+")
"""Added to a running container, but never exchanged in it."""

Row = dict[str, str | int]


def is_hot(key: str, config: Mapping[str, str], *, is_removal: bool) -> bool:
    """Return whether a running container takes the change at once."""
    if key in AT_ONCE:
        return True
    if is_removal:
        return HOT_REMOVAL.fullmatch(key) is not None
    return HOT.fullmatch(key) is not None and not (NEVER_EXCHANGED.fullmatch(key) and key in config)


def cleaned(config: Mapping[str, str], pending: Pending) -> dict[str, str | None]:
    """Leave out what changes nothing."""
    return {
        key: value
        for key, value in pending.items()
        if (key in config if value is None else config.get(key) != value)
    }


def merged(config: Mapping[str, str], pending: Pending) -> Config:
    """Show a config as it will be after the next start."""
    gone = {key for key, value in pending.items() if value is None}
    new = {key: value for key, value in pending.items() if value is not None}
    return {key: value for key, value in (dict(config) | new).items() if key not in gone}


def rows(config: Mapping[str, str], pending: Pending, digest: str) -> list[Row]:
    """List what is and what waits, the digest among what is."""
    listed = [_row(key, value, pending) for key, value in config.items()]
    waiting = [
        {"key": key, "pending": shown_value(key, value)}
        for key, value in pending.items()
        if value is not None and key not in config
    ]
    return [*listed, {"key": "digest", "value": digest}, *waiting]


def lines(config: Mapping[str, str], pending: Pending) -> list[str]:
    """Write it as `pct pending` does."""
    lines = []
    for key in sorted({*config, *pending}):
        present, coming = config.get(key), pending.get(key)
        if present is not None:
            word = "del" if key in pending and coming is None else "cur"
            lines.append(f"{word} {key}: {_encoded(key, present)}")
        if coming is not None:
            lines.append(f"new {key}: {_encoded(key, coming)}")
    return lines


def _row(key: str, value: str, pending: Pending) -> Row:
    row: Row = {"key": key, "value": shown_value(key, value)}
    if key not in pending:
        return row
    coming = pending[key]
    return row | ({"delete": 1} if coming is None else {"pending": shown_value(key, coming)})


def _encoded(key: str, value: str) -> str:
    return value.replace("\n", "%0A") if key == "description" else value
