"""Phase finalize: the health check, and the discovery of services and credentials."""

import asyncio
from datetime import timedelta

from slipway.contracts.guests import DiscoverGuest, Discovery
from slipway.contracts.job_kinds import ConfigureArgs
from slipway.contracts.problems import Failed, SlipwayError, Superseded
from slipway.contracts.templates import HealthCheck
from slipway.contracts.values import DISCOVERY_PENDING, STILL_STARTING, WITHOUT_ADDRESS
from slipway.provisioner.engine.step import SKIPPED, Result
from slipway.provisioner.host.work import Work
from slipway.proxmox.detached import ROOT
from slipway.runtime.process.logs import get_logger
from slipway.runtime.retry import Deadline

DISCOVERY_SECONDS = 60.0
REDISCOVERY_SECONDS = 20.0
"""After a change of a container that existed before; monitor discovers later what is missing then."""
UNSETTLED_SECONDS = 5.0
"""For a guest that is known not to settle soon: it still boots, or lacks an address."""
_PAUSE_SECONDS = 0.5

_CHECK = """
kind=$1 seconds=$2 port=$3 path=$4 runs=$5
try() {
    case $kind in
        http)
            url=http://127.0.0.1:$port$path
            if command -v curl >/dev/null 2>&1; then curl -fsS -m 5 -o /dev/null "$url"
            elif command -v wget >/dev/null 2>&1; then wget -q -T 5 -O /dev/null "$url"
            else listens; fi ;;
        tcp) listens ;;
        command) sh -s ;;
    esac
}
listens() { ss -Hltn "sport = :$port" | grep -q .; }
check=$(cat)
ends=$(($(date +%s) + seconds))
while :; do
    output=$(printf '%s\\n' "$check" | try 2>&1) && break
    if [ "$(date +%s)" -ge "$ends" ]; then printf '%s\\n' "$output"; exit 1; fi
    sleep 0.5
done
rm -rf "$runs".*
"""


class Unhealthy(Failed):
    """The template's health check does not hold."""

    code = "guest.unhealthy"


async def health(work: Work) -> Result:
    """Wait until the template's health check holds; then remove the traces of the run."""
    if work.bundle is None:
        return SKIPPED
    check, runs = work.bundle.manifest.health, f"{ROOT}/{work.command.job}"
    if check is None:
        await work.pct.script(work.target.vmid, 'rm -rf "$1".*', (runs,), timeout=timedelta(seconds=60))
        return Result(message="no health check")
    seconds, text = check.timeout_seconds, _check_text(check)
    done = await work.pct.script(
        work.target.vmid,
        _CHECK,
        (check.kind, str(seconds), str(check.port or 0), check.path, runs),
        stdin=(check.command or "").encode(),
        timeout=timedelta(seconds=seconds + 60),
    )
    if done.exit_code != 0:
        raise Unhealthy(
            f"The health check ({text}) does not hold after {seconds} s: {done.stdout.strip()[-300:]}",
            command=check.command or text,
            exit_code=done.exit_code,
        )
    return Result(message=text)


async def discover(work: Work) -> Result:
    """Ask monitor to look into the guest; without an answer the container is ready all the same."""
    is_late = any(each.startswith((STILL_STARTING, WITHOUT_ADDRESS)) for each in work.journal.record.warnings)
    return await _discover(work, UNSETTLED_SECONDS if is_late else DISCOVERY_SECONDS)


async def rediscover(work: Work) -> Result:
    """Look into the guest anew, if it runs: it may have another address, and other services."""
    try:
        is_running = await work.is_running()
    except Superseded:
        raise
    except SlipwayError as error:
        return await _pending(work, error.code, error.message)
    return await _discover(work, REDISCOVERY_SECONDS) if is_running else SKIPPED


async def rediscover_networks(work: Work) -> Result:
    """Look into the guest anew, if its networks were changed and it runs."""
    networks = work.command.args_as(ConfigureArgs).networks
    return await rediscover(work) if networks is not None else SKIPPED


async def _discover(work: Work, seconds: float) -> Result:
    target = work.target
    query = DiscoverGuest(
        container=target.container, cluster=target.cluster, node=target.node, vmid=target.vmid
    )
    deadline = Deadline(seconds)
    while True:
        try:
            discovery = await work.bus.ask(query)
        except Superseded:
            raise
        except SlipwayError as error:
            if deadline.has_passed or error.kind != "unavailable":
                return await _pending(work, error.code, error.message)
        else:
            if discovery.is_settled:
                return _result(discovery)
            if deadline.has_passed:
                reason = "it has no address yet" if discovery.address is None else "it has not settled yet"
                return await _pending(work, "guest.not-settled", reason)
        await asyncio.sleep(_PAUSE_SECONDS)


def _result(discovery: Discovery) -> Result:
    names = ", ".join(each.name for each in discovery.services if not each.is_system)
    address = f"address: {discovery.address or 'none'}"
    credentials = f"credentials: {len(discovery.credentials)}"
    return Result(message=f"{address}; services: {names or 'none'}; {credentials}")


async def _pending(work: Work, code: str, reason: str) -> Result:
    await work.warn(DISCOVERY_PENDING)
    get_logger().warning("discovery pending", job=work.command.job, code=code, why=reason)
    return Result(message=f"not discovered yet: {reason}")


def _check_text(check: HealthCheck) -> str:
    match check.kind:
        case "http":
            return f"http on port {check.port}, {check.path}"
        case "tcp":
            return f"tcp on port {check.port}"
        case "command":
            return "command"
