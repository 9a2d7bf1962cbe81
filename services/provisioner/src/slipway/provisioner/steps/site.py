"""Phase start: the site's proxy, package mirrors and certificates, in a new guest before its first package.

`site.sh` places them, and stays in the guest: `sh /var/lib/slipway/site/site.sh remove` takes all of it back.
"""

from datetime import timedelta
from importlib.resources import files

from slipway.contracts.problems import Failed
from slipway.provisioner.engine.step import SKIPPED, Result
from slipway.provisioner.host import boot, site
from slipway.provisioner.host.work import Work
from slipway.proxmox.files import deploy

SITE_SCRIPT = files("slipway.provisioner.steps").joinpath("site.sh").read_bytes()
TIMEOUT = timedelta(minutes=2)
OTHER_SOURCES = "other-package-sources"
"""A job's warning: package sources of the guest that the mirror does not stand for."""


class SiteNotApplied(Failed):
    """Proxy, mirrors or certificates could not be set up in the guest."""

    code = "guest.site-not-applied"


async def apply(work: Work) -> Result:
    """Set up the site's proxy, package mirrors and certificates in the guest."""
    guest = work.spec.guest
    if guest is None:
        return SKIPPED
    vmid = work.target.vmid
    # While it boots /tmp may be cleared and mounted anew under whatever works there.
    await boot.look(work, work.boot_wait, needs_mirror=False)
    await deploy(work.pct, vmid, site.files(guest, SITE_SCRIPT))
    command = ("sh", site.SCRIPT, "apply", guest.apt_mirror or "", guest.apk_mirror or "")
    done = await work.pct.execute(vmid, command, timeout=TIMEOUT)
    lines = [line.partition(" ")[::2] for line in done.stdout.splitlines()]
    if ("done", "") not in lines:
        why = next((text for word, text in lines if word == "failed"), "") or done.stderr.strip()
        raise SiteNotApplied(
            f"Proxy, mirrors and certificates of the site could not be set up in container {vmid}: "
            f"{why or f'code {done.exit_code}'}."
        )
    if others := [text for word, text in lines if word == "other"]:
        work.warn(f"{OTHER_SOURCES}: {', '.join(others)}")
    names = [name for name, value in guest if value and name != "is_outgoing_blocked"]
    return Result(message=", ".join(names))
