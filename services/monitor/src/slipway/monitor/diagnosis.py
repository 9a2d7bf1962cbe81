"""What is wrong with a cluster or a node, said for people: what happened, and what to do about it. Pure.

An error that says nothing about a host (the bus is away, inventory does not answer) is no diagnosis.
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
    """What is wrong, without since when."""

    code: str
    message: str
    remedy: str

    def filled(self, **words: str) -> "Diagnosis":
        """Give it with these words in its braces."""
        message, remedy = self.message.format(**words), self.remedy.format(**words)
        return Diagnosis(code=self.code, message=message, remedy=remedy)


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """The cluster that is spoken of."""

    name: str
    endpoint: str = ""
    asker: str = "the access"
    """Token or user."""
    pinned: str | None = None
    """The certificate's fingerprint that is believed."""

    @property
    def access(self) -> str:
        """The request that changes how it is reached."""
        return f"PUT /api/v1/clusters/{self.name}/access"


def standing(before: Outage | None, found: Diagnosis | None, now: Moment) -> Outage | None:
    """Give an outage that lasts its beginning, and a new one now."""
    if found is None:
        return None
    since = before.since if before is not None and before.code == found.code else now
    return Outage(code=found.code, since=since, message=found.message, remedy=found.remedy)


def of_error(error: SlipwayError, subject: Subject, *, shown: str | None = None) -> Diagnosis | None:
    """Diagnose a cluster by what a question to it failed of.

    Args:
        error: what came instead of an answer.
        subject: the cluster.
        shown: the fingerprint of the certificate that it shows, if that is the outage and known.
    """
    if isinstance(error, CertificateMismatch):
        return _certificate(error, subject, shown)
    if isinstance(error, PermissionMissing):
        return privileges(subject, error.message)
    found = next((each for kind, each in _OF_ERRORS.items() if isinstance(error, kind)), None)
    if found is None:
        return None
    named = {"endpoint": subject.endpoint, "asker": subject.asker, "access": subject.access}
    return found.filled(why=error.message, **named)


def privileges(subject: Subject, what: str) -> Diagnosis:
    """Diagnose that the access may not see or do what it has to."""
    return Diagnosis(
        code="cluster.privilege-missing",
        message=f"{subject.asker} lacks rights: {what}",
        remedy="Give it the roles of infra/proxmox/make-token.sh again, with propagation. What Proxmox does "
        "not show meanwhile is not taken for gone.",
    )


def hidden(subject: Subject, vmids: Sequence[int]) -> Diagnosis:
    """Diagnose that containers which exist are not shown any more."""
    some = ", ".join(map(str, sorted(vmids)[:_SHOWN])) + (", ..." if len(vmids) > _SHOWN else "")
    return privileges(subject, f"Proxmox does not show containers that exist (VMID {some}).")


def no_quorum(why: str) -> Diagnosis:
    """Diagnose that a cluster can be read, and not changed."""
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
    """Diagnose a node that is called online and does not answer."""
    return Diagnosis(
        code="node.no-answer",
        message=f"{node} is called online and does not answer: {why}",
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
    """Diagnose a node of which something is not known now; that the cluster is not reached is not its fault.

    Args:
        node: its name.
        questions: `storages`, `networks` or `appliances` to why there was no answer.
        ssh_problem: why it can't be used over SSH, if it can't.
    """
    for question, found in _OF_QUESTIONS.items():
        why = questions.get(question)
        if why is not None and not isinstance(why, _OF_CLUSTER):
            return found.filled(node=node, why=why.message)
    if ssh_problem is not None:
        return Diagnosis(
            code="node.ssh-unusable",
            message=f"{node} can't be used over SSH: {ssh_problem}",
            remedy="Mend the login, or confirm the node's host key: PUT /api/v1/clusters/{cluster}/nodes/"
            f"{node}/host-key. Nothing new is placed there.",
        )
    return None


_OF_CLUSTER = (EndpointUnreachable, CertificateMismatch, AccessRefused)
"""What the polls say, of the cluster as a whole."""
_OF_QUESTIONS: Mapping[str, Diagnosis] = {
    "storages": Diagnosis(
        code="node.storages-unknown",
        message="{node} does not tell its storages: {why} Shown is what was known last.",
        remedy="Look for a storage that hangs, mostly a dead NFS or CIFS server: `pvesm status` on {node}; "
        "disable it until it is back.",
    ),
    "networks": Diagnosis(
        code="node.networks-unknown",
        message="{node} does not tell its bridges: {why} Shown is what was known last.",
        remedy="Look at `pvesh get /nodes/{node}/network` on {node}.",
    ),
    "appliances": Diagnosis(
        code="node.appliances-unknown",
        message="{node} does not tell which templates it can download: {why} Shown is what was known last.",
        remedy="Look at `pveam available` on {node}; templates that are there can be used.",
    ),
}
"""What is wrong when a question to a node was not answered; the first is the worst."""
_OF_ERRORS: Mapping[type[SlipwayError], Diagnosis] = {
    AccessRefused: Diagnosis(
        code="cluster.credentials-refused",
        message="Proxmox does not accept {asker}: it has expired, was removed, or has another secret.",
        remedy='Prolong it, or give a new one: {access} {{"token_id": ..., "token_secret": ...}}.',
    ),
    NoAnswer: Diagnosis(
        code="cluster.no-answer",
        message="{endpoint} takes connections and does not answer: {why}",
        remedy="On that node, look at `systemctl status pveproxy pvedaemon pve-cluster` and at its load.",
    ),
    NodeUnreachable: Diagnosis(
        code="cluster.unreachable",
        message="{endpoint} can't be reached: {why}",
        remedy='See whether it runs and its port is open. If it has moved: {access} {{"endpoint": ...}}.',
    ),
    ClusterNotReady: Diagnosis(
        code="cluster.no-quorum",
        message="The cluster can't be read or changed now: {why}",
        remedy="Bring the other nodes back, or look at `pvecm status`; jobs wait meanwhile.",
    ),
    ProxmoxFailed: Diagnosis(
        code="cluster.not-understood",
        message="What {endpoint} answers can't be used: {why}",
        remedy="See whether Proxmox VE answers there, and which version; the log of monitor has the rest.",
    ),
    ProxmoxRejected: Diagnosis(
        code="cluster.not-understood",
        message="{endpoint} refuses the question: {why}",
        remedy="See whether Proxmox VE answers there, and which version; the log of monitor has the rest.",
    ),
}
"""The first that fits is it."""


def _certificate(error: CertificateMismatch, subject: Subject, shown: str | None) -> Diagnosis:
    shown = error.details.get("shown") or shown
    pinned = error.details.get("pinned") or subject.pinned
    endpoint = error.details.get("endpoint") or subject.endpoint
    told = f"it shows {shown}, pinned is {pinned}." if shown and pinned else error.message
    return Diagnosis(
        code="cluster.certificate-changed",
        message=f"{endpoint} shows another certificate: {told}",
        remedy="If it was renewed, compare it with `pvenode cert info` on the node, then accept it: "
        f'{subject.access} {{"tls_fingerprint": "{shown or "..."}"}}. If not, somebody may be in between.',
    )
