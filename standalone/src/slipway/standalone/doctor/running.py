"""Checks of what runs: services and their versions, the page's certificate, the clusters and their clocks."""

import asyncio
import os
import ssl
import time
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from importlib.metadata import PackageNotFoundError, distribution, version
from pathlib import Path
from typing import Any

import httpx
from cryptography import x509

from slipway.cli.freshness import outages_of
from slipway.standalone.doctor.findings import Finding, NotChecked, failed, ok, warning
from slipway.standalone.doctor.installation import Installation
from slipway.standalone.services import START_ORDER

PARTS = ("contracts", "runtime", "proxmox", "lab", "client", "cli", *START_ORDER, "standalone")
ANSWER_SECONDS = 10.0
"""For one answer over HTTP: a service that lacks something says so after three."""
CERTIFICATE_DAYS = 21
"""How long before its end a certificate is worth a warning."""
SKEW = timedelta(seconds=5)
"""Clocks that keep time by NTP differ by less; the `Date` of an answer has whole seconds."""
MOST_SKEW = timedelta(seconds=60)
_CLOCK_REMEDY = "let this machine and every node keep time by NTP (`timedatectl`, `chronyc tracking`)"


async def services(installation: Installation) -> Finding:
    """Whether every service is alive and ready."""
    if not installation.is_running:
        return failed(
            f"Slipway does not run on {installation.folder.path}",
            "start it: `slipway up`, or `systemctl start slipway` where it is a service",
        )
    gone = [name for name in START_ORDER if name not in installation.processes]
    if gone:
        remedy = f"look at {gone[0]}.log in the data folder's log/; `slipway up` starts it again by itself"
        return failed(f"these do not run: {', '.join(gone)}", remedy)
    urls = installation.endpoints.get("services")
    if not urls:
        raise NotChecked("`slipway up` is not ready yet")
    urls = {**urls, "gateway": installation.endpoints["http"]}
    async with _http() as http:
        answers = await asyncio.gather(*(_readiness(http, str(urls[name])) for name in START_ORDER))
    wrong = [f"{name}: {why}" for name, why in zip(START_ORDER, answers, strict=True) if why]
    if wrong:
        return failed("; ".join(wrong), "see what each names as missing, and its log in the data folder")
    return ok(f"{', '.join(START_ORDER)} are alive and ready")


async def versions(installation: Installation) -> Finding:
    """Whether all parts are of one version, and what runs is what is installed."""
    found = installed_versions()
    if len(set(found.values())) > 1:
        listed = ", ".join(f"{name} {each}" for name, each in found.items())
        remedy = "install slipway-standalone anew, with all that it needs (`pipx upgrade slipway-standalone`)"
        return failed(f"the parts have different versions: {listed}", remedy)
    number = found["standalone"]
    started = [_started(pid) for pid in installation.processes.values()]
    if started and min(started) < _installed():
        return warning(f"{number} was installed after what runs had started", "restart Slipway")
    return ok(f"every part is {number}")


async def certificate(installation: Installation) -> Finding:
    """Whether the page's certificate is valid for a while."""
    if not installation.endpoints:
        raise NotChecked("Slipway does not run, or is not ready yet")
    url = httpx.URL(installation.page_url)
    if url.scheme != "https":
        return ok("Slipway itself serves the page without TLS")
    _, writer = await asyncio.open_connection(url.host, url.port or 443, ssl=_unverified())
    try:
        shown = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    finally:
        writer.close()
    end = x509.load_der_x509_certificate(shown).not_valid_after_utc
    async with _http() as http:
        degraded = (await http.get(f"{installation.endpoints['http']}/readyz")).json().get("degraded", {})
    if (refused := degraded.get("certificate")) and end > datetime.now(tz=UTC):
        return warning(refused, "replace both files with a certificate and its key")
    return judge_certificate(end, datetime.now(tz=UTC))


def judge_certificate(end: datetime, now: datetime) -> Finding:
    """Return what is to be said of a certificate that ends then."""
    left, remedy = end - now, "renew it; Slipway takes the new one without a restart"
    if left <= timedelta():
        return failed(f"the page's certificate has expired on {end:%Y-%m-%d}", remedy)
    message = f"the page's certificate is valid until {end:%Y-%m-%d} ({left.days} days)"
    return warning(message, remedy) if left.days < CERTIFICATE_DAYS else ok(message)


async def clusters(installation: Installation) -> Finding:
    """Whether every cluster and node can be looked at."""
    known = await _clusters(installation)
    outages = list(outages_of(known))
    if outages:
        return failed(" ".join(outages), "see `slipway clusters`, and mend what it names")
    return ok(f"{len(known)} clusters, none with an outage")


async def clock(installation: Installation) -> Finding:
    """Whether this machine's clock and the clusters' agree."""
    known = await _clusters(installation)
    if not known:
        raise NotChecked("there is no cluster to compare with")
    async with _http() as http:
        asked = [_skew(http, str(cluster["endpoint"])) for cluster in known]
        found = dict(zip((str(each["name"]) for each in known), await asyncio.gather(*asked), strict=True))
    skews = {name: skew for name, skew in found.items() if skew is not None}
    if not skews:
        raise NotChecked("no cluster answers")
    return judge_clock(skews)


def judge_clock(skews: Mapping[str, timedelta]) -> Finding:
    """Return what is to be said of the clusters' clocks."""
    name, skew = max(skews.items(), key=lambda each: abs(each[1]))
    side = "ahead of" if skew > timedelta() else "behind"
    message = f"the clock of {name} is {abs(skew).total_seconds():.0f} s {side} ours"
    if abs(skew) >= MOST_SKEW:
        return failed(message, _CLOCK_REMEDY)
    if abs(skew) >= SKEW:
        return warning(message, _CLOCK_REMEDY)
    return ok(f"this machine and {len(skews)} clusters agree within {SKEW.seconds} s")


def installed_versions() -> dict[str, str]:
    """Return each part's version; a part that is missing has none."""
    found = {}
    for part in PARTS:
        try:
            found[part] = version(f"slipway-{part}")
        except PackageNotFoundError:
            found[part] = "missing"
    return found


async def _readiness(http: httpx.AsyncClient, url: str) -> str | None:
    """Return why a service is not ready; None if it is."""
    try:
        answer = await http.get(f"{url}/readyz")
        missing: dict[str, str] = answer.json()["missing"]
    except httpx.HTTPError as error:
        return f"does not answer ({type(error).__name__})"
    except (ValueError, KeyError):
        return f"answers with {answer.status_code}, and not as a service of Slipway"
    return "; ".join(f"{what}: {why}" for what, why in missing.items()) or None


async def _clusters(installation: Installation) -> list[dict[str, Any]]:
    client = installation.api()
    if client is None:
        raise NotChecked("Slipway does not run, or is not ready yet")
    async with client:
        return await client.items("/clusters")


async def _skew(http: httpx.AsyncClient, endpoint: str) -> timedelta | None:
    """Return how far a cluster's clock is ahead of ours; None if it does not answer."""
    try:
        before = datetime.now(tz=UTC)
        answer = await http.head(endpoint)
        half = (datetime.now(tz=UTC) - before) / 2
        skew = parsedate_to_datetime(answer.headers["date"]) - before - half
        # A slow answer says nothing of a smaller difference than it took.
        return skew if abs(skew) > half else timedelta()
    except (httpx.HTTPError, KeyError, ValueError):
        return None


def _http() -> httpx.AsyncClient:
    """Return a client that sends no secret, and so need not know whom it talks to."""
    return httpx.AsyncClient(verify=_unverified(), timeout=ANSWER_SECONDS, trust_env=False)


def _unverified() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _started(pid: int) -> float:
    """Return when a process began, in seconds since 1970; now if it has ended meanwhile."""
    try:
        ticks = int(Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(") ")[2].split()[19])
    except (FileNotFoundError, ProcessLookupError):
        return time.time()
    # Not by `btime` of /proc/stat: in a container that is the container's, and the ticks are the host's.
    return time.time() - time.clock_gettime(time.CLOCK_BOOTTIME) + ticks / os.sysconf("SC_CLK_TCK")


def _installed() -> float:
    """Return when the newest part was installed, in seconds since 1970."""
    found = [distribution(f"slipway-{part}") for part in PARTS]
    names = [f"slipway_{part}-{each.version}.dist-info" for part, each in zip(PARTS, found, strict=True)]
    return max(
        Path(str(each.locate_file(name))).stat().st_mtime for name, each in zip(names, found, strict=True)
    )
