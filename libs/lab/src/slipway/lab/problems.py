"""How the pretend node refuses: one exception, with the status and words that Proxmox would use.

Also raised inside workers: there only the message counts, it ends the task.
"""

from collections.abc import Mapping


class Refused(Exception):
    """A call that Proxmox would answer with an error; 500 unless said otherwise."""

    def __init__(
        self,
        message: str,
        *,
        status: int = 500,
        errors: Mapping[str, str] | None = None,
        is_empty: bool = False,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.status = status
        self.errors = errors
        self.is_empty = is_empty
        """Whether the answer has no body at all, as those of pveproxy's own 401."""


def bad_parameters(errors: Mapping[str, str]) -> Refused:
    """Refuse parameters, all at once."""
    return Refused("Parameter verification failed.", status=400, errors=errors)


def not_permitted(reason: str = "") -> Refused:
    """Refuse for want of a right."""
    return Refused(f"Permission check failed{f' ({reason})' if reason else ''}", status=403)


def no_config(node: str, vmid: int) -> Refused:
    """Refuse since there is no such container (here: also when it lives on another node)."""
    return Refused(f"Configuration file 'nodes/{node}/lxc/{vmid}.conf' does not exist")
