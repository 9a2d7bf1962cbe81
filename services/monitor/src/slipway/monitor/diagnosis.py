"""Diagnose a cluster or a node for people: what happened, and what to do about it. Pure.

An error that says nothing about a host (the bus is away, inventory does not answer) gives no diagnosis.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from slipway.contracts.message import Moment
from slipway.contracts.problems import SlipwayError
from slipway.contracts.values import Outage
from slipway.proxmox.errors import (
    AccessRefused,
    CertificateMismatch,
    ClusterNotReady,
    EndpointUnreachable,
    NoAnswer,
    NodeUnreachable,
    PermissionMissing,
    ProxmoxFailed,
    ProxmoxRejected,
)

NODE_GONE_CODE = "node.gone"
_SHOWN = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnosis:
    """An outage without its beginning."""

    code: str
    message: str
    remedy: str

    def format(self, **values: str) -> "Diagnosis":
        """Return it with the values in its braces."""
        message, remedy = self.message.format(**values), self.remedy.format(**values)
        return Diagnosis(code=self.code, message=message, remedy=remedy)


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """The cluster of a diagnosis."""

    name: str
    endpoint: str = ""
    asker: str = "the access"
    """Token or user."""
    pinned: str | None = None
    """Fingerprint of the pinned certificate."""

    @property
    def access(self) -> str:
        """The HTTP request that changes its access."""
        return f"PUT /api/v1/clusters/{self.name}/access"


def outage_of(before: Outage | None, diagnosis: Diagnosis | None, now: Moment) -> Outage | None:
    """Return the outage of a diagnosis; one that lasts keeps its beginning."""
    if diagnosis is None:
        return None
    since = before.since if before is not None and before.code == diagnosis.code else now
    return Outage(code=diagnosis.code, since=since, message=diagnosis.message, remedy=diagnosis.remedy)


def of_error(error: SlipwayError, subject: Subject, *, shown: str | None = None) -> Diagnosis | None:
    """Diagnose a cluster by the error of a request to it.

    Args:
        error: the error of the request.
        subject: the cluster.
        shown: the fingerprint of the certificate that it shows, if it is known.
    """
    if isinstance(error, CertificateMismatch):
        return _certificate(error, subject, shown)
    if isinstance(error, PermissionMissing):
        return privileges(subject, error.message)
    diagnosis = next((each for kind, each in _OF_ERRORS.items() if isinstance(error, kind)), None)
    if diagnosis is None:
        return None
    values = {"endpoint": subject.endpoint, "asker": subject.asker, "access": subject.access}
    values["cluster"] = subject.name
    return diagnosis.format(why=error.message, **values)


def privileges(subject: Subject, what: str) -> Diagnosis:
    """Diagnose that the access lacks privileges."""
    return Diagnosis(
        code="cluster.privilege-missing",
        message=f"{subject.asker} lacks rights: {what}",
        remedy="Give it the roles of infra/proxmox/make-token.sh again, with propagation. "
        "Containers that Proxmox does not show meanwhile stay listed.",
    )


def hidden(subject: Subject, vmids: Sequence[int]) -> Diagnosis:
    """Diagnose that containers which exist are not shown any more."""
    some = ", ".join(map(str, sorted(vmids)[:_SHOWN])) + (", ..." if len(vmids) > _SHOWN else "")
    return privileges(subject, f"Proxmox does not show containers that exist (VMID {some}).")


def no_quorum(why: str) -> Diagnosis:
    """Diagnose that a cluster can be read but not changed."""
    return Diagnosis(
        code="cluster.no-quorum",
        message=f"The cluster can't be changed now: {why}",
        remedy="Bring the other nodes back, or look at `pvecm status`; jobs wait meanwhile.",
    )


def offline(node: str) -> Diagnosis:
    """Diagnose a node that its cluster calls offline."""
    return Diagnosis(
        code="node.offline",
        message=f"The cluster says that {node} is offline.",
        remedy=f"Start {node}, or look at its network and at `pvecm status`; nothing new is placed there.",
    )


def silent(node: str, why: str) -> Diagnosis:
    """Diagnose a node that its cluster calls online and that does not answer."""
    return Diagnosis(
        code="node.no-answer",
        message=f"{node} is online but does not answer: {why}",
        remedy=f"On {node}, look at `systemctl status pveproxy pvedaemon` and at its load; nothing new is "
        "placed there.",
    )


def gone(node: str, members: Iterable[str]) -> Diagnosis:
    """Diagnose a node that has left its cluster, or was renamed."""
    return Diagnosis(
        code=NODE_GONE_CODE,
        message=f"The cluster has no node {node} any more; it has {', '.join(sorted(members))}.",
        remedy="If it left or was renamed, nothing has to be done: it is dropped after a quarter of an hour. "
        "Containers that went with it can be forgotten: POST /api/v1/containers/{id}/forget.",
    )


def unanswered(node: str, questions: Mapping[str, SlipwayError], ssh_problem: str | None) -> Diagnosis | None:
    """Diagnose a node that left a question unanswered, unless the cluster itself is not reached.

    Args:
        node: its name.
        questions: the error of each of `storages`, `networks` and `appliances` that was not answered.
        ssh_problem: the reason why SSH does not work, if it does not.
    """
    for question, diagnosis in _OF_QUESTIONS.items():
        error = questions.get(question)
        if error is not None and not isinstance(error, _OF_CLUSTER):
            return diagnosis.format(node=node, why=error.message)
    if ssh_problem is not None:
        return Diagnosis(
            code="node.ssh-unusable",
            message=f"{node} can't be used over SSH: {ssh_problem}",
            remedy="Repair the login, or confirm the node's host key: PUT /api/v1/clusters/{cluster}/nodes/"
            f"{node}/host-key. Nothing new is placed there.",
        )
    return None


_OF_CLUSTER = (EndpointUnreachable, CertificateMismatch, AccessRefused)
"""Errors of the cluster as a whole, which the polls report."""
_OF_QUESTIONS: Mapping[str, Diagnosis] = {
    "storages": Diagnosis(
        code="node.storages-unknown",
        message="{node} does not list its storages: {why} The last known ones are shown.",
        remedy="Look for a storage that hangs, mostly a dead NFS or CIFS server: `pvesm status` on {node}; "
        "disable it until it is back.",
    ),
    "networks": Diagnosis(
        code="node.networks-unknown",
        message="{node} does not list its bridges: {why} The last known ones are shown.",
        remedy="Look at `pvesh get /nodes/{node}/network` on {node}.",
    ),
    "appliances": Diagnosis(
        code="node.appliances-unknown",
        message="{node} does not list the templates it can download: {why} The last known ones are shown.",
        remedy="Look at `pveam available` on {node}; templates that are there can be used.",
    ),
}
"""Diagnoses by the question that a node did not answer; the worst first."""
_OF_ERRORS: Mapping[type[SlipwayError], Diagnosis] = {
    AccessRefused: Diagnosis(
        code="cluster.credentials-refused",
        message="Proxmox does not accept {asker}: it has expired, was removed, or has another secret.",
        remedy="Extend it, or set a new one: `slipway cluster access {cluster}`, or "
        '{access} {{"token_id": ..., "token_secret": ...}}.',
    ),
    NoAnswer: Diagnosis(
        code="cluster.no-answer",
        message="{endpoint} accepts connections but does not answer: {why}",
        remedy="On that node, look at `systemctl status pveproxy pvedaemon pve-cluster` and at its load.",
    ),
    NodeUnreachable: Diagnosis(
        code="cluster.unreachable",
        message="{endpoint} can't be reached: {why}",
        remedy='Check that it runs and that its port is open. If it has moved: {access} {{"endpoint": ...}}.',
    ),
    ClusterNotReady: Diagnosis(
        code="cluster.no-quorum",
        message="The cluster can't be read or changed now: {why}",
        remedy="Bring the other nodes back, or look at `pvecm status`; jobs wait meanwhile.",
    ),
    ProxmoxFailed: Diagnosis(
        code="cluster.not-understood",
        message="The answer of {endpoint} is not understood: {why}",
        remedy="Check that Proxmox VE answers there, and which version; the log of monitor has the details.",
    ),
    ProxmoxRejected: Diagnosis(
        code="cluster.not-understood",
        message="{endpoint} refuses the request: {why}",
        remedy="Check that Proxmox VE answers there, and which version; the log of monitor has the details.",
    ),
}
"""The first type that matches counts."""


def _certificate(error: CertificateMismatch, subject: Subject, shown: str | None) -> Diagnosis:
    shown = error.details.get("shown") or shown
    pinned = error.details.get("pinned") or subject.pinned
    endpoint = error.details.get("endpoint") or subject.endpoint
    detail = f"it shows {shown}, pinned is {pinned}." if shown and pinned else error.message
    return Diagnosis(
        code="cluster.certificate-changed",
        message=f"{endpoint} shows another certificate: {detail}",
        remedy="If it was renewed, compare it with `pvenode cert info` on the node, then accept it: "
        f'{subject.access} {{"tls_fingerprint": "{shown or "..."}"}}. '
        "If not, somebody may intercept the connection.",
    )
