"""Phase finalize: is it healthy, what runs in it, which credentials does it hold."""

import asyncio
from datetime import timedelta

from slipway.contracts.guests import DiscoverGuest, Discovery
from slipway.contracts.job_kinds import ConfigureArgs
from slipway.contracts.problems import Failed, SlipwayError, Superseded
from slipway.contracts.templates import HealthCheck
from slipway.contracts.values import DISCOVERY_PENDING
from slipway.provisioner.steps import power
from slipway.provisioner.steps.work import SKIPPED, Result, Work
from slipway.runtime.process.logs import get_logger

DISCOVERY_SECONDS = 60.0
REDISCOVERY_SECONDS = 20.0
"""After a change of a container that was there before; what is missing then is looked for by monitor."""
_PAUSE_SECONDS = 2.0
_RUNS = "/var/lib/slipway/runs"

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
while [ "$kind" != none ]; do
    told=$(printf '%s\\n' "$check" | try 2>&1) && break
    if [ "$(date +%s)" -ge "$ends" ]; then printf '%s\\n' "$told"; exit 1; fi
    sleep 0.5
done
rm -rf "$runs".*
"""


class Unhealthy(Failed):
    """The template's health check does not hold."""

    code = "guest.unhealthy"


async def health(work: Work) -> Result:
    """Wait until the template's health check holds; then the traces of the run are removed."""
    if work.bundle is None:
        return SKIPPED
    check = work.bundle.manifest.health
    seconds = check.timeout_seconds if check else 0
    done = await work.pct.script(
        work.target.vmid,
        _CHECK,
        (
            check.kind if check else "none",
            str(seconds),
            str(check.port or 0) if check else "0",
            check.path if check else "/",
            f"{_RUNS}/{work.command.job}",
        ),
        stdin=(check.command or "").encode() if check else b"",
        timeout=timedelta(seconds=seconds + 60),
    )
    if done.exit_code != 0 and check is not None:
        told = done.stdout.strip()[-300:]
        raise Unhealthy(
            f"The health check ({_words(check)}) does not hold after {seconds} s: {told}",
            command=check.command or _words(check),
            exit_code=done.exit_code,
        )
    return Result(message=_words(check) if check else "no health check")


async def discover(work: Work) -> Result:
    """Ask monitor to look into the guest; without an answer the container is ready all the same."""
    return await _discover(work, DISCOVERY_SECONDS)


async def rediscover(work: Work) -> Result:
    """Look into the guest anew, if it runs: it may have another address, and other services."""
    try:
        runs = await power.is_running(work)
    except Superseded:
        raise
    except SlipwayError as error:
        return await _pending(work, error.code, error.message)
    return await _discover(work, REDISCOVERY_SECONDS) if runs else SKIPPED


async def rediscover_networks(work: Work) -> Result:
    """Look into the guest anew, if its networks were changed and it runs."""
    networks = work.command.args_as(ConfigureArgs).networks
    return await rediscover(work) if networks is not None else SKIPPED


async def _discover(work: Work, seconds: float) -> Result:
    target = work.target
    query = DiscoverGuest(
        container=target.container, cluster=target.cluster, node=target.node, vmid=target.vmid
    )
    loop = asyncio.get_running_loop()
    ends = loop.time() + seconds
    while True:
        try:
            found = await work.bus.ask(query)
        except Superseded:
            raise
        except SlipwayError as error:
            if loop.time() > ends or error.kind != "unavailable":
                return await _pending(work, error.code, error.message)
        else:
            if found.is_settled:
                return _told(found)
            if loop.time() > ends:
                why = "it has no address yet" if found.address is None else "it has not settled yet"
                return await _pending(work, "guest.not-settled", why)
        await asyncio.sleep(_PAUSE_SECONDS)


def _told(found: Discovery) -> Result:
    names = ", ".join(each.name for each in found.services if not each.is_system)
    address = f"address: {found.address or 'none'}"
    credentials = f"credentials: {len(found.credentials)}"
    return Result(message=f"{address}; services: {names or 'none'}; {credentials}")


async def _pending(work: Work, code: str, why: str) -> Result:
    known = work.journal.record.warnings
    if DISCOVERY_PENDING not in known:
        await work.journal.commit(warnings=(*known, DISCOVERY_PENDING))
    get_logger().warning("discovery pending", job=work.command.job, code=code, why=why)
    return Result(message=f"not discovered yet: {why}")


def _words(check: HealthCheck) -> str:
    match check.kind:
        case "http":
            return f"http on port {check.port}, {check.path}"
        case "tcp":
            return f"tcp on port {check.port}"
        case "command":
            return "command"
