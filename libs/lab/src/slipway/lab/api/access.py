"""`/version`, `/access` and `/pools`."""

from typing import Any

from slipway.lab.access.actors import ALL_PRIVILEGES
from slipway.lab.api.call import Call, Route, Routes
from slipway.lab.host import hardware
from slipway.lab.problems import not_permitted

_CAPABILITIES = {
    "access": ("Group.Allocate", "Permissions.Modify", "User.Modify"),
    "dc": ("SDN.Allocate", "SDN.Audit", "SDN.Use", "Sys.Audit", "Sys.Modify"),
    "mapping": ("Mapping.Audit", "Mapping.Modify", "Mapping.Use", "Permissions.Modify"),
    "sdn": ("Permissions.Modify", "SDN.Allocate", "SDN.Audit", "SDN.Use"),
}
_CAPABILITY_PREFIXES = {"nodes": "Sys.", "storage": "Datastore.", "vms": "VM."}


def version(_call: Call) -> dict[str, str]:
    """Say which Proxmox VE this pretends to be."""
    return {"release": hardware.RELEASE, "repoid": hardware.REPO_ID, "version": hardware.VERSION}


def login(call: Call) -> dict[str, Any]:
    """Exchange a password, or a ticket, for a fresh ticket."""
    given = call.given
    ticket, csrf = call.doorkeeper.login(given["username"], given["password"], given.get("realm"))
    user = ticket.split(":")[1]
    return {"ticket": ticket, "CSRFPreventionToken": csrf, "username": user, "cap": _capabilities()}


def _capabilities() -> dict[str, dict[str, int]]:
    named = {area: dict.fromkeys(rights, 1) for area, rights in _CAPABILITIES.items()}
    for area, prefix in _CAPABILITY_PREFIXES.items():
        rights = sorted(right for right in ALL_PRIVILEGES if right.startswith(prefix))
        named[area] = dict.fromkeys((*rights, "Permissions.Modify"), 1)
    return named


def realms(_call: Call) -> list[dict[str, str]]:
    """List where users may come from."""
    return [
        {"type": "pam", "realm": "pam", "comment": "Linux PAM standard authentication"},
        {"type": "pve", "realm": "pve", "comment": "Proxmox VE authentication server"},
    ]


def permissions(call: Call) -> dict[str, dict[str, int]]:
    """Show the caller's own privileges by path."""
    if call.given.get("userid", call.actor.name) != call.actor.name and not call.actor.is_root:
        raise not_permitted("/access, Sys.Audit")
    if path := call.given.get("path"):
        return {path: dict.fromkeys(sorted(call.actor.privileges(path)), 1)}
    return {path: dict.fromkeys(sorted(rights), 1) for path, rights in call.actor.acl.items()}


def _index(*names: str) -> Route:
    return Route(handler=lambda _call: [{"subdir": name} for name in names])


ROUTES: Routes = {
    "GET /": _index("version", "cluster", "nodes", "storage", "access", "pools"),
    "GET /version": Route(handler=version),
    "GET /access": _index("domains", "ticket", "permissions"),
    "GET /access/domains": Route(handler=realms, is_open=True),
    "GET /access/ticket": Route(handler=lambda _call: None, is_open=True),
    "POST /access/ticket": Route(handler=login, is_open=True, allows_token=False),
    "GET /access/permissions": Route(handler=permissions),
    "GET /pools": Route(handler=lambda _call: []),
}
