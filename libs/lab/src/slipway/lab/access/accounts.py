"""The users and tokens that `pveum` has made, as the node's own files hold them.

A real node keeps them in `/etc/pve/user.cfg` and `/etc/pve/priv/token.cfg`; here these files lie in the
cluster's shared folder. They are read again when they have changed.
"""

import re
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path

from slipway.lab.access.actors import ALL_PRIVILEGES, Acl

BUILT_IN = {
    "Administrator": ALL_PRIVILEGES,
    "PVEAuditor": frozenset(each for each in ALL_PRIVILEGES if each.endswith(".Audit")),
}
_SEPARATED = re.compile(r"[,; ]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """An API token."""

    user: str
    name: str
    secret: str
    acl: Acl

    @property
    def id(self) -> str:
        """`user@realm!name`."""
        return f"{self.user}!{self.name}"


@dataclass(slots=True)
class Accounts:
    """The tokens of the files below a folder that stands for `/etc/pve`."""

    folder: Path
    _read_as: tuple[int, int] = (0, 0)
    _tokens: dict[str, Token] = field(default_factory=dict)

    def tokens(self) -> dict[str, Token]:
        """Return the tokens by id."""
        files = self.folder / "user.cfg", self.folder / "priv" / "token.cfg"
        if not all(each.exists() for each in files):
            return {}
        state = (files[0].stat().st_mtime_ns, files[1].stat().st_mtime_ns)
        if state != self._read_as:
            config, secrets = (each.read_text(encoding="utf-8") for each in files)
            self._read_as, self._tokens = state, read(config, secrets)
        return self._tokens

    def granted(self) -> list[tuple[str, str, str]]:
        """Return the access list: path, user and role."""
        rows = (row for row in self._rows() if row[0] == "acl")
        return [(row[2], who, role) for row in rows for who in _words(row[3]) for role in _words(row[4])]

    def roles(self) -> dict[str, frozenset[str]]:
        """Return the roles that were made, with their privileges."""
        return {row[1]: frozenset(_words(row[2])) for row in self._rows() if row[0] == "role"}

    def _rows(self) -> list[list[str]]:
        path = self.folder / "user.cfg"
        return _split(path.read_text(encoding="utf-8")) if path.exists() else []


def read(config: str, secrets: str) -> dict[str, Token]:
    """Return the tokens of a `user.cfg` and a `token.cfg`."""
    rows = _split(config)
    roles = BUILT_IN | {row[1]: frozenset(_words(row[2])) for row in rows if row[0] == "role"}
    rights: defaultdict[str, dict[str, frozenset[str]]] = defaultdict(dict)
    for row in rows:
        if row[0] != "acl":
            continue
        _, _, path, who, granted = row[:5]
        for name in _words(who):
            before = rights[name].get(path, frozenset())
            rights[name][path] = before.union(*(roles.get(role, frozenset()) for role in _words(granted)))
    known = dict(line.split(" ", 1) for line in secrets.splitlines() if " " in line)
    tokens = {}
    for row in rows:
        if row[0] == "token" and row[1] in known:
            user, _, name = row[1].partition("!")
            acl = rights[user] if row[3] == "0" else _both(rights[row[1]], rights[user])
            tokens[row[1]] = Token(user=user, name=name, secret=known[row[1]], acl=acl)
    return tokens


def _both(own: Acl, of_user: Acl) -> Acl:
    """Return what a token with separated privileges may: no more than its user."""
    return {path: rights & of_user.get(path, frozenset()) for path, rights in own.items()}


def _split(config: str) -> list[list[str]]:
    return [line.split(":") for line in config.splitlines() if line.count(":") > 1]


def _words(text: str) -> list[str]:
    return [word for word in _SEPARATED.split(text) if word]
