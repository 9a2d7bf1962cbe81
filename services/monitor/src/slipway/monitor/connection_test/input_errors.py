"""Convert a host's error in a connection test into the input that is wrong."""

from collections.abc import Iterable
from datetime import timedelta

from slipway.contracts.clusters import ClusterSpec
from slipway.contracts.problems import FieldError, Invalid, SlipwayError, Unavailable
from slipway.proxmox.errors import AccessRefused, CertificateMismatch, NodeUnreachable, PermissionMissing
from slipway.proxmox.tls import scan_fingerprint

SCAN_TIMEOUT = timedelta(seconds=4)


class ClusterUnreachable(Unavailable):
    """No Proxmox answers at the endpoint, or no node is online."""

    code = "cluster.unreachable"
    retry_after_seconds = 5.0


class CertificateUnexpected(Invalid):
    """The server shows an unexpected certificate."""

    code = "cluster.certificate-unexpected"


class CredentialsRefused(Invalid):
    """The cluster does not accept token or password."""

    code = "cluster.credentials-refused"


class PrivilegeMissing(Invalid):
    """The token or user lacks a privilege that Slipway needs."""

    code = "cluster.privilege-missing"


class PrivilegeSurplus(Invalid):
    """The token or user may do more than the tier says."""

    code = "cluster.privilege-surplus"


class NotProxmox(Invalid):
    """The endpoint does not lead to Proxmox."""

    code = "cluster.not-proxmox"


class NodeNotThere(Invalid):
    """SSH access was given for a node that the cluster does not have."""

    code = "cluster.node-unknown"


async def as_input_error(error: SlipwayError, spec: ClusterSpec) -> SlipwayError:
    """Convert a host's error into an error of the input field that causes it."""
    if isinstance(error, CertificateMismatch):
        return await _unexpected(error, spec)
    if isinstance(error, AccessRefused):
        field = "token_secret" if spec.token_id else "password"
        message = f"Proxmox does not accept {spec.token_id or spec.username}: {error.message}"
        return CredentialsRefused(message, errors=[FieldError(field=field, message=message)])
    if isinstance(error, PermissionMissing):
        return privilege_missing(spec, f"may not: {error.message}")
    if isinstance(error, Invalid) and not error.errors and spec.ca:
        return Invalid(error.message, code=error.code, errors=[FieldError(field="ca", message=error.message)])
    if isinstance(error, NodeUnreachable):
        return unreachable(spec, error.message)
    return error


async def _unexpected(error: CertificateMismatch, spec: ClusterSpec) -> SlipwayError:
    at = error.details["endpoint"]
    try:
        seen = error.details.get("shown") or await scan_fingerprint(at, timeout=SCAN_TIMEOUT)
    except SlipwayError as scan_error:
        return unreachable(spec, scan_error.message)
    pinned = error.details.get("pinned")
    why = f"is not the pinned one, {pinned}" if pinned else "is not signed by the CA, or is for another name"
    message = (
        f"The certificate at {at} {why}. Its SHA-256 fingerprint is {seen}; "
        "compare it with the one that the node shows, and enter it if they are equal."
    )
    field = "ca" if spec.ca else "tls_fingerprint"
    faults = [FieldError(field=field, message=message)]
    return CertificateUnexpected(message, errors=faults, fingerprint=seen)


def unreachable(spec: ClusterSpec, why: str) -> ClusterUnreachable:
    """Return the error that no Proxmox answers at the endpoint."""
    message = f"No Proxmox answers at {spec.endpoint}: {why} Check address, port and firewall."
    return ClusterUnreachable(message, errors=[FieldError(field="endpoint", message=message)])


def privilege_missing(spec: ClusterSpec, what: str) -> PrivilegeMissing:
    """Return the error that the token or user lacks privileges."""
    field = "token_id" if spec.token_id else "username"
    message = f"{spec.token_id or spec.username} {what}. Give it a role with these privileges."
    return PrivilegeMissing(message, errors=[FieldError(field=field, message=message)])


def privilege_surplus(spec: ClusterSpec, surplus: Iterable[str]) -> PrivilegeSurplus:
    """Return the error that the token or user may do more than its cluster's tier."""
    field = "token_id" if spec.token_id else "username"
    message = (
        f"{spec.token_id or spec.username} may do more than tier {spec.tier}: {', '.join(surplus)}. Make the "
        f"token anew with TIER={spec.tier}, or send the tier that it has."
    )
    return PrivilegeSurplus(message, errors=[FieldError(field=field, message=message)])
