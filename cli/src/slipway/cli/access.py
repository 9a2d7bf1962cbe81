"""What a job has made: where a new container is reached, and how its passwords are shown."""

from collections.abc import Callable, Mapping
from typing import Any

from slipway.cli.lookup import short_name
from slipway.client.transport import Transport


async def report_access(report: Callable[[str], None], client: Transport, job: Mapping[str, Any]) -> None:
    """Report the address, URLs and passwords of a container that a job has created; nothing of other jobs."""
    # Known by the registry, which only this needs.
    from slipway.contracts.job_kinds import JobKind

    if job["kind"] not in set(JobKind) or not JobKind(job["kind"]).creates_container:
        return
    item = await client.get(f"/containers/{job['container']}")
    name = await short_name(client, item)
    where = item.get("address") or "no address yet"
    report(f"{item['hostname']} ({item['vmid']}, cluster {item['cluster']}) runs at {where}")
    urls = [(each["name"], each["url"]) for each in item["services"] if each.get("url")]
    for service, url in urls:
        report(f"  {service}: {url}")
    if not urls:
        report(f"  no URL is known yet; this shows it as soon as one is: slipway show {name}")
    names = ", ".join(each["name"] for each in item["credentials"])
    report(f"  passwords ({names or 'none is known yet'}): slipway reveal {name}")
