"""`/version` and `/access`."""

from slipway.lab.access.actors import ALL_PRIVILEGES
from slipway.lab.api.call import Call, Route, Routes, Row, index
from slipway.lab.host import hardware
from slipway.lab.problems import not_permitted

_CAPABILITIES = {
    "access": ("Group.Allocate", "Permissions.Modify", "User.Modify"),
    "dc": ("SDN.Allocate", "SDN.Audit", "SDN.Use", "Sys.Audit", "Sys.Modify"),
    "mapping": ("Mapping.Audit", "Mapping.Modify", "Mapping.Use", "Permissions.Modify"),
    "sdn": ("Permissions.Modify", "SDN.Allocate", "SDN.Audit", "SDN.Use"),
}
TOP_PATHS = ("/", "/access", "/access/groups", "/nodes", "/pool", "/sdn", "/storage", "/vms")
"""Listed among one's permissions whatever the ACL says, if anything is held there."""
ROLES = {
    "/": "SlipwayNodes",
    "/pool": "SlipwayPools",
    "/sdn": "SlipwayNetwork",
    "/storage": "SlipwayStorage",
    "/vms": "SlipwayGuests",
}
_CAPABILITY_PREFIXES = {"nodes": "Sys.", "storage": "Datastore.", "vms": "VM."}


def version(_call: Call) -> dict[str, str]:
    """Return which Proxmox VE this pretends to be."""
    return {"release": hardware.RELEASE, "repoid": hardware.REPO_ID, "version": hardware.VERSION}


def login(call: Call) -> Row:
    """Exchange a password, or a ticket, for a fresh ticket."""
    params = call.params
    ticket, csrf = call.doorkeeper.login(params["username"], params["password"], params.get("realm"))
    user = ticket.split(":")[1]
    return {"ticket": ticket, "CSRFPreventionToken": csrf, "username": user, "cap": _capabilities()}


def _capabilities() -> dict[str, dict[str, int]]:
    capabilities = {area: dict.fromkeys(rights, 1) for area, rights in _CAPABILITIES.items()}
    for area, prefix in _CAPABILITY_PREFIXES.items():
        rights = sorted(right for right in ALL_PRIVILEGES if right.startswith(prefix))
        capabilities[area] = dict.fromkeys((*rights, "Permissions.Modify"), 1)
    return capabilities


def realms(_call: Call) -> list[dict[str, str]]:
    """List where users may come from."""
    return [
        {"type": "pam", "realm": "pam", "comment": "Linux PAM standard authentication"},
        {"type": "pve", "realm": "pve", "comment": "Proxmox VE authentication server"},
    ]


def permissions(call: Call) -> dict[str, dict[str, int]]:
    """Show the caller's own privileges by path."""
    if call.params.get("userid", call.actor.name) != call.actor.name and not call.actor.is_root:
        raise not_permitted("/access, Sys.Audit")
    if path := call.params.get("path"):
        return {path: dict.fromkeys(sorted(call.actor.privileges(path)), 1)}
    paths = {*TOP_PATHS, *call.actor.acl, *_pool_paths(call)}
    privileges = {path: call.actor.privileges(path) for path in sorted(paths)}
    return {path: dict.fromkeys(sorted(rights), 1) for path, rights in privileges.items() if rights}


def _pool_paths(call: Call) -> set[str]:
    """Return what is a member of a pool: those are listed, pools themselves only if they are in the ACL."""
    pools = call.machine.pools.all()
    guests = {f"/vms/{vmid}" for pool in pools for vmid in pool.vmids}
    return guests | {f"/storage/{name}" for pool in pools for name in pool.storages}


def acl(call: Call) -> list[Row]:
    """List what was granted to whom, to who may look."""
    if not call.actor.may("/access", "Sys.Audit"):
        return []
    services = call.doorkeeper.services()
    granted = [(path, token.user, role_name(path)) for token in services for path in sorted(token.acl)]
    return [
        {"path": path, "roleid": role, "type": "token" if "!" in who else "user", "ugid": who, "propagate": 1}
        for path, who, role in (*granted, *call.doorkeeper.accounts.granted())
    ]


def roles(call: Call) -> list[Row]:
    """List the roles: of Proxmox the two ends, and those that the service account was given."""
    built_in = {"Administrator": ALL_PRIVILEGES, "NoAccess": frozenset[str]()}
    rows: list[Row] = [
        {"roleid": name, "privs": ",".join(sorted(rights)), "special": 1} for name, rights in built_in.items()
    ]
    own = {role_name(path): one.acl[path] for one in call.doorkeeper.services() for path in one.acl}
    own |= call.doorkeeper.accounts.roles()
    return rows + [
        {"roleid": name, "privs": ",".join(sorted(rights)), "special": 0} for name, rights in own.items()
    ]


def role_name(path: str) -> str:
    """Return the name of the role that `make-token.sh` makes for a path."""
    return ROLES.get(path, f"Slipway{path.title().replace('/', '')}")


ROUTES: Routes = {
    "GET /": index("version", "cluster", "nodes", "storage", "access", "pools", key="subdir"),
    "GET /version": Route(handler=version),
    "GET /access": index("acl", "domains", "permissions", "roles", "ticket", key="subdir"),
    "GET /access/acl": Route(handler=acl),
    "GET /access/roles": Route(handler=roles),
    "GET /access/domains": Route(handler=realms, is_open=True),
    "GET /access/ticket": Route(handler=lambda _call: None, is_open=True),
    "POST /access/ticket": Route(handler=login, is_open=True, allows_token=False),
    "GET /access/permissions": Route(handler=permissions),
}
