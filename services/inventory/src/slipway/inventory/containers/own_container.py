"""Recognizes the container that Slipway itself runs in, and refuses to interrupt it by mistake. Pure.

A guest of Proxmox sees its network devices with the MACs that stand in its config, and no two guests of one
network have the same: the container that has one of our own MACs is the one around us. Not recognized is one
in which Slipway runs in a container of another kind (Docker), whose MACs are other ones.
"""

from collections.abc import Collection, Sequence

from slipway.contracts.job_kinds import INTERRUPTING
from slipway.contracts.jobs import RunJob
from slipway.contracts.problems import Conflict


class OwnContainer(Conflict):
    """Slipway itself runs in this container: what stops it has to be confirmed as such."""

    code = "container.own"


def refuse_own(commands: Sequence[RunJob], addresses: Collection[str]) -> None:
    """Raise `OwnContainer` if a job would interrupt the container with one of these MACs."""
    for command in commands:
        if interrupts_us(command, addresses):
            target = command.target
            raise OwnContainer(
                f"{_what(command)} To do it all the same, send the header `Slipway-Confirm: self` "
                "(`--confirm-self`); to do the rest of a selection, leave it out.",
                vmid=target.vmid,
            )


def warnings(commands: Sequence[RunJob], addresses: Collection[str]) -> tuple[str, ...]:
    """Return what a plan says of jobs that would interrupt our own container."""
    return tuple(
        f"{_what(each)} It is done only with the header `Slipway-Confirm: self` (`--confirm-self`)."
        for each in commands
        if interrupts_us(each, addresses)
    )


def interrupts_us(command: RunJob, addresses: Collection[str]) -> bool:
    """Whether a job ends what runs in the container with one of these MACs, in capital letters."""
    own = {network.hwaddr.upper() for network in command.spec.networks if network.hwaddr}
    return command.kind in INTERRUPTING and not own.isdisjoint(addresses)


def _what(command: RunJob) -> str:
    target, verb = command.target, str(command.kind).partition(".")[2]
    return (
        f"Slipway itself runs in container {target.hostname} ({target.vmid}): {verb} ends Slipway, and "
        "nobody reports how it went on."
    )
