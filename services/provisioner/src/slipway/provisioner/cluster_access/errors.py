"""Why no access could be made on a node; each with its remedy."""

from slipway.contracts.checks import Check, CheckName, CheckState
from slipway.contracts.problems import Conflict, Failed, FieldError, Invalid, SlipwayError, Unavailable


class NodeSilent(Unavailable):
    """No SSH server answers at the node's address."""

    code = "connect.unreachable"
    retry_after_seconds = 5.0


class PasswordRefused(Invalid):
    """The node does not accept root's password."""

    code = "connect.password-refused"


class HostKeyDiffers(Invalid):
    """The machine shows another SSH host key than the one that was compared; nothing was sent to it."""

    code = "connect.host-key-differs"


class NotRoot(Invalid):
    """The login is not root's."""

    code = "connect.not-root"


class NotNode(Invalid):
    """The machine is no node of Proxmox VE."""

    code = "connect.not-proxmox"


class KnownCluster(Conflict):
    """The node belongs to a cluster that Slipway has already."""

    code = "cluster.exists"


class OfAnotherCluster(Conflict):
    """The node belongs to another cluster than the one that shall get new access."""

    code = "cluster.another"


class BoundsInvalid(Invalid):
    """A variable of the token script can't be like that."""

    code = "connect.bounds-invalid"


class ScriptFailed(Failed):
    """The token script has failed on the node."""

    code = "connect.script-failed"


def fail(
    error: type[SlipwayError], check: CheckName, message: str, remedy: str, *, field: str = "", **details: str
) -> SlipwayError:
    """Return an error with the check that failed and what to do."""
    made = error(
        f"{message} {remedy}",
        errors=[FieldError(field=field, message=f"{message} {remedy}")] if field else [],
        **details,
    )
    earlier = [CheckName.NODE_LOGIN] if check is CheckName.NODE_SCRIPT else []
    made.checks = (
        *(Check(name=each, state=CheckState.PASSED) for each in earlier),
        Check(name=check, state=CheckState.FAILED, message=message, remedy=remedy),
    )
    return made
