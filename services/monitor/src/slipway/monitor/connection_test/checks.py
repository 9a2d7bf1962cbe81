"""The named checks of a connection test: which passed, which failed and what to do. Pure."""

from collections.abc import Iterable, Sequence

from slipway.contracts.checks import Check, CheckName, CheckState
from slipway.contracts.cluster_facts import ClusterFacts, NodeFacts
from slipway.contracts.clusters import ClusterSpec
from slipway.contracts.problems import SlipwayError

_REQUIRED = (
    CheckName.REACHABLE,
    CheckName.CERTIFICATE,
    CheckName.PROXMOX,
    CheckName.CREDENTIALS,
    CheckName.PRIVILEGES,
    CheckName.NODES,
    CheckName.SSH,
    CheckName.ENDPOINTS,
)
"""In the order in which a test goes through them."""
_FURTHER = (CheckName.HOST_KEYS, CheckName.DISK_STORAGE, CheckName.TEMPLATE_STORAGE)
_OF_CODE = {
    "cluster.unreachable": CheckName.REACHABLE,
    "cluster.certificate-unexpected": CheckName.CERTIFICATE,
    "cluster.not-proxmox": CheckName.PROXMOX,
    "cluster.credentials-refused": CheckName.CREDENTIALS,
    "cluster.privilege-missing": CheckName.PRIVILEGES,
    "cluster.privilege-surplus": CheckName.PRIVILEGES,
    "cluster.node-unknown": CheckName.NODES,
    "cluster.ssh-unusable": CheckName.SSH,
    "cluster.ssh-key-invalid": CheckName.SSH,
    "cluster.endpoint-unusable": CheckName.ENDPOINTS,
}
"""The check that an error is about, by the error's code."""
_NEEDS_NO_HOST = {"cluster.ssh-key-invalid"}
_REMEDIES = {
    CheckName.REACHABLE: "Check address, port and firewall; `curl -k` from Slipway's machine must answer.",
    CheckName.CERTIFICATE: "Compare it on the node (`openssl x509 -noout -sha256 -fingerprint -in "
    "/etc/pve/local/pveproxy-ssl.pem`, or pve-ssl.pem if there is none); give the right fingerprint.",
    CheckName.PROXMOX: "Give the address of the API, https://NODE:8006, not of another program or a proxy.",
    CheckName.CREDENTIALS: "Make a new token on a node: `slipway cluster script`.",
    CheckName.PRIVILEGES: "Run the token script again for this tier: `slipway cluster script`.",
    CheckName.NODES: "Give the names that Proxmox has for its nodes, and look whether they are online.",
    CheckName.SSH: "The key must be in root's authorized_keys: the token script puts it there.",
    CheckName.ENDPOINTS: "Leave out the endpoint that is not of this cluster.",
}


def passed(name: CheckName, message: str = "") -> Check:
    """Return a check that went well."""
    return Check(name=name, state=CheckState.PASSED, message=message, is_required=name in _REQUIRED)


def skipped(name: CheckName) -> Check:
    """Return a check that was not made."""
    return Check(name=name, state=CheckState.SKIPPED, is_required=name in _REQUIRED)


def of_error(error: SlipwayError, at: CheckName) -> tuple[Check, ...]:
    """Return the checks of a test that ended with an error.

    Args:
        error: that ended it.
        at: the check that was being made, for an error that does not say it by itself.
    """
    is_late = error.code == "cluster.unreachable" and at is not CheckName.REACHABLE
    name = at if is_late else _OF_CODE.get(error.code, at)
    failed = Check(
        name=name, state=CheckState.FAILED, message=error.message, remedy=_REMEDIES[name], is_required=True
    )
    place = 0 if error.code in _NEEDS_NO_HOST else _REQUIRED.index(name)
    before = [passed(each) for each in _REQUIRED[:place]]
    after = [skipped(each) for each in (*_REQUIRED[place:], *_FURTHER) if each is not name]
    return (*before, failed, *after)


def of_facts(facts: ClusterFacts, spec: ClusterSpec, *, is_ssh_tried: bool) -> tuple[Check, ...]:
    """Return the checks of a test that went through."""
    online = [each for each in facts.nodes if each.is_online]
    usable = [each.node for each in online if each.is_ssh_usable]
    ssh = skipped(CheckName.SSH)
    if is_ssh_tried and usable:
        ssh = passed(CheckName.SSH, f"root logs in to {_named(usable)}")
    return (
        passed(CheckName.REACHABLE, spec.endpoint),
        passed(CheckName.CERTIFICATE, "signed by the given CA" if spec.ca else spec.tls_fingerprint or ""),
        passed(CheckName.PROXMOX, f"Proxmox VE {facts.version}"),
        passed(CheckName.CREDENTIALS, spec.token_id or spec.username or ""),
        passed(CheckName.PRIVILEGES, f"what tier {spec.tier} needs"),
        passed(CheckName.NODES, f"{_named(each.node for each in online)} online"),
        ssh,
        passed(CheckName.ENDPOINTS),
        _host_keys(facts, online) if is_ssh_tried else skipped(CheckName.HOST_KEYS),
        _storage(CheckName.DISK_STORAGE, "rootdir", "disks of containers", online),
        _storage(CheckName.TEMPLATE_STORAGE, "vztmpl", "OS templates", online),
    )


def _host_keys(facts: ClusterFacts, online: Sequence[NodeFacts]) -> Check:
    missing = sorted(facts.offered_host_keys)
    if not missing:
        return passed(CheckName.HOST_KEYS, f"{len(online)} of {len(online)} nodes")
    return Check(
        name=CheckName.HOST_KEYS,
        state=CheckState.FAILED,
        message=f"{_named(missing)}: SSH host key not confirmed, so no container can be made there.",
        remedy="`slipway cluster check` in a terminal shows them to compare; or PUT "
        "/api/v1/clusters/CLUSTER/nodes/NODE/host-key.",
        is_required=False,
    )


def _storage(name: CheckName, content: str, what: str, online: Sequence[NodeFacts]) -> Check:
    storages = {
        each.name for node in online for each in node.storages if each.is_active and content in each.content
    }
    if storages:
        return passed(name, _named(sorted(storages)))
    return Check(
        name=name,
        state=CheckState.FAILED,
        message=f"No active storage takes {what}.",
        remedy=f"Allow it in Proxmox (Datacenter, Storage, Content: {content}).",
        is_required=False,
    )


def _named(names: Iterable[str]) -> str:
    return ", ".join(names) or "none"
