"""Phase finalize, its beginning: the template's health check.

`health.sh` waits in the guest, with what its kernel and its shell have: all tries are one round trip.
"""

from datetime import timedelta
from importlib.resources import files

from slipway.contracts.problems import Failed
from slipway.contracts.templates import HealthCheck
from slipway.provisioner.engine.step import SKIPPED, Result
from slipway.provisioner.host.work import Work
from slipway.proxmox.detached import ROOT
from slipway.runtime.process.logs import get_logger

SCRIPT = files("slipway.provisioner.steps").joinpath("health.sh").read_text(encoding="utf-8")
SLACK = timedelta(seconds=60)
"""How much longer than the check's own time its script may take."""
NOT_ASKED = "health-not-asked"
"""A job's warning: the service listens, but nothing in the guest could ask it over HTTP."""
_LISTENS = 3
_WHY = "only that something listens is known: the guest has none of curl, bash, nc and wget to ask it with"


class Unhealthy(Failed):
    """The template's health check does not hold."""

    code = "guest.unhealthy"


async def health(work: Work) -> Result:
    """Wait until the template's health check holds; then remove the traces of the run."""
    if work.bundle is None:
        return SKIPPED
    check, runs = work.bundle.manifest.health, f"{ROOT}/{work.command.job}"
    if check is None:
        await work.pct.script(work.target.vmid, 'rm -rf "$1".*', (runs,), timeout=SLACK)
        return Result(message="no health check")
    seconds, text = check.timeout_seconds, _text(check)
    done = await work.pct.script(
        work.target.vmid,
        SCRIPT,
        (check.kind, str(seconds), str(check.port or 0), check.path, runs),
        stdin=(check.command or "").encode(),
        timeout=timedelta(seconds=seconds) + SLACK,
    )
    if done.exit_code == _LISTENS:
        return await _not_asked(work, text)
    if done.exit_code != 0:
        raise Unhealthy(
            f"The health check ({text}) does not hold after {seconds} s: {done.stdout.strip()[-300:]}",
            command=check.command or text,
            exit_code=done.exit_code,
        )
    return Result(message=text)


async def _not_asked(work: Work, text: str) -> Result:
    work.warn(f"{NOT_ASKED}: {_WHY}")
    get_logger().warning("health check not asked", job=work.command.job, check=text, why=_WHY)
    return Result(message=f"{text}: {_WHY}")


def _text(check: HealthCheck) -> str:
    match check.kind:
        case "http":
            return f"http on port {check.port}, {check.path}"
        case "tcp":
            return f"tcp on port {check.port}"
        case "command":
            return "command"
