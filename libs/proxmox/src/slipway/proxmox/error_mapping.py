"""Decide which of our errors an answer of Proxmox stands for.

Pure: texts in, errors out. The status code alone says little, most refusals are 500 (PVE 9.2, observed); the
text decides, from the best source there is: the body's `errors`, its `message`, the reason phrase. The same
texts come back as the exit status of tasks and on the standard error of `pct`.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from slipway.contracts.problems import FieldError, SlipwayError
from slipway.proxmox.errors import (
    AccessRefused,
    AlreadyRunning,
    AnswerLost,
    ClusterNotReady,
    ConfigChanged,
    ContainerLocked,
    ContainerMissing,
    ContainerProtected,
    FeatureMissing,
    LockTimeout,
    NodeUnknown,
    NodeUnreachable,
    NotRunning,
    PermissionMissing,
    ProxmoxFailed,
    ProxmoxRejected,
    SnapshotMissing,
    SnapshotTaken,
    TaskFailed,
    TaskLost,
    TaskMissing,
    VmidTaken,
)
from slipway.proxmox.upid import Upid

SENTENCES: tuple[tuple[re.Pattern[str], type[SlipwayError]], ...] = tuple(
    (re.compile(pattern), error)
    for pattern, error in (
        (r"can't lock file .*got timeout", LockTimeout),
        (r"(?:cfs-lock .*)?got lock request timeout|error with cfs lock|unable to acquire lock", LockTimeout),
        (r"cluster not ready - no quorum|unable to open file '/etc/pve/.*Permission denied", ClusterNotReady),
        # While pve-cluster restarts.
        (r"^ipcc_send_rec\[\d+\] failed|^Unable to load access control list", ClusterNotReady),
        (r"\b(?:CT|VM) (?P<vmid>\d+) already exists", VmidTaken),
        (r"\b(?:CT|VM) is locked \((?P<lock>[^)]*)\)", ContainerLocked),
        (r"^(?:can't remove|unable to restore) (?:CT|VM) \d+ - protection mode", ContainerProtected),
        (r"\b(?:CT|VM) \d+ already running|^unable to destroy CT \d+ - container is running", AlreadyRunning),
        (r"can't overwrite running container", AlreadyRunning),
        (r"\b(?:CT|VM) \d+ not running|^container '\d+' not running", NotRunning),
        (r"[Cc]onfiguration file '[^']*/(?:lxc|qemu-server)/\d+\.conf' does not exist", ContainerMissing),
        (r"detected modified configuration", ConfigChanged),
        (r"^hostname lookup '(?P<node>[^']*)' failed|no such cluster node '(?P<other>[^']*)'", NodeUnknown),
        (r"^no such task", TaskMissing),
        (
            r"^(?:403 )?Permission check failed|only allowed for root@pam|not available with API token",
            PermissionMissing,
        ),
        (
            r"^(?:storage '[^']*' (?:does not exist|is disabled)|unable to (?:parse|use) volume )",
            ProxmoxRejected,
        ),
        (r"^snapshot feature is not available|^[Ff]ull clone of a running container", FeatureMissing),
        (r"^Linked clone feature for |^can't migrate running container", FeatureMissing),
        (r"^snapshot '(?P<snapshot>[^']*)' does not exist", SnapshotMissing),
        (r"^snapshot name '(?P<snapshot>[^']*)' already used", SnapshotTaken),
        (r"^unable to (?:shrink disk size|use snapshot name )", ProxmoxRejected),
        (r"^could not (?:activate storage|get storage information for) ", ProxmoxRejected),
        (r"^SSH public key validation error|^unable to modify read-only option", ProxmoxRejected),
        (r"^mount points configured, but 'rootfs' not set|^no options specified", ProxmoxRejected),
    )
)
"""What Proxmox says, and what it means; the first match wins (PVE 9.2, observed; 8.4 says the same)."""

_UNAUTHENTICATED = 401
_FORBIDDEN = 403
_NEVER_ARRIVED = frozenset({503, 595})
_MAY_HAVE_ARRIVED = frozenset({502, 504, 596, 597, 598, 599})
_WRONG_INPUT = frozenset({400, 404, 405, 413, 501})


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """An answer with status 400 or more."""

    method: str
    path: str
    """The API's path: `/nodes/pve1/lxc/100/config`."""
    status: int
    reason: str
    message: str = ""
    """The body's `message`; Proxmox before 8.4 sends none."""
    errors: Mapping[str, str] = field(default_factory=dict)
    """The body's `errors`, by parameter."""

    @property
    def text(self) -> str:
        """The most useful text of the answer."""
        return self.message.strip() or self.reason.strip() or f"status {self.status}"


def refusal_error(refusal: Refusal) -> SlipwayError:
    """Return the error for an answer that is not a success."""
    error = _error_of_status(refusal) or _error_of_text(refusal)
    error.details = {
        **error.details,
        "method": refusal.method,
        "path": refusal.path,
        "status": str(refusal.status),
    }
    return error


def text_error(text: str) -> SlipwayError | None:
    """Return the error that a sentence of Proxmox stands for, if it is a known one."""
    for pattern, error in SENTENCES:
        if match := pattern.search(text):
            mapped = error(text)
            mapped.details.update({name: value for name, value in match.groupdict().items() if value})
            return mapped
    return None


def exit_status_error(upid: Upid, text: str) -> SlipwayError:
    """Return the error for a task that ended with neither `OK` nor `WARNINGS`."""
    if text == "unexpected status":
        return TaskLost(f"The task {upid.type} of {upid.id} was killed; what it did is unknown.", upid=upid)
    error = text_error(text) or TaskFailed(text)
    error.details["upid"] = upid
    return error


def answer_lost(method: str, path: str, *, why: str) -> AnswerLost:
    """Return the error for a change that was sent and not answered."""
    return AnswerLost(
        f"The answer to {method} {path} was lost ({why}); it may have taken effect.", method=method, path=path
    )


def _error_of_status(refusal: Refusal) -> SlipwayError | None:
    maybe_arrived = refusal.status in _MAY_HAVE_ARRIVED
    if maybe_arrived and refusal.method != "GET":
        return answer_lost(refusal.method, refusal.path, why=refusal.text)
    if maybe_arrived or refusal.status in _NEVER_ARRIVED:
        return NodeUnreachable(f"The node behind {refusal.path} can't be reached: {refusal.text}")
    if refusal.status == _UNAUTHENTICATED:
        return AccessRefused(f"Proxmox does not accept the credentials: {refusal.text}")
    return None


def _error_of_text(refusal: Refusal) -> SlipwayError:
    if refusal.errors:
        return _wrong_parameters(refusal)
    if error := text_error(refusal.text):
        return error
    if refusal.status == _FORBIDDEN:
        return PermissionMissing(refusal.text)
    return (ProxmoxRejected if refusal.status in _WRONG_INPUT else ProxmoxFailed)(refusal.text)


def _wrong_parameters(refusal: Refusal) -> SlipwayError:
    errors = tuple(FieldError(field=name, message=text.strip()) for name, text in refusal.errors.items())
    for error in errors:
        if mapped := text_error(error.message):
            mapped.errors = errors
            return mapped
    details = "; ".join(f"{error.field}: {error.message}" for error in errors)
    return ProxmoxRejected(f"Proxmox refuses the parameters: {details}", errors=errors)
