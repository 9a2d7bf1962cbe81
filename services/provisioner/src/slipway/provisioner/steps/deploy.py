"""Phase deploy: the template's files are put into the guest, all in one remote process."""

from collections import Counter

from slipway.provisioner.engine.step import SKIPPED, Result
from slipway.provisioner.host.work import Work
from slipway.proxmox.files import deploy


async def files(work: Work) -> Result:
    """Put the library for scripts and the template's files into the guest."""
    if work.bundle is None:
        return SKIPPED
    placed = await deploy(work.pct, work.target.vmid, work.bundle.files(values(work)))
    counts = Counter(str(each.outcome) for each in placed)
    return Result(message=", ".join(f"{number} {outcome}" for outcome, number in sorted(counts.items())))


def values(work: Work) -> dict[str, str]:
    """Return the values for rendered files: the variables, the container's name and number."""
    secret = {name: value.get_secret_value() for name, value in work.secret_variables.items()}
    own = {"hostname": work.target.hostname, "vmid": str(work.target.vmid)}
    return {**own, **work.spec.variables, **secret}
