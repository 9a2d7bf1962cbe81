"""Whether this machine can run simulated guests, found out by trying, and why not."""

import subprocess
import sys
from pathlib import Path

from slipway.lab.guests.commands import program
from slipway.lab.guests.simulated.running import UNSHARE

NEEDED = ("unshare", "nsenter", "pivot_root", "ip", "tar")
TRY_SECONDS = 10.0


def impossible() -> str | None:
    """Return why simulated guests cannot run, as a sentence; None if they can."""
    if not sys.platform.startswith("linux"):
        return "simulated guests need Linux, for its namespaces"
    missing = [name for name in NEEDED if not Path(program(name)).is_absolute()]
    if missing:
        return f"simulated guests need {', '.join(missing)} (packages util-linux, iproute2 and tar)"
    if not Path("/bin").is_symlink():
        return "simulated guests need a system whose /bin is part of /usr"
    attempt = subprocess.run(  # noqa: S603 - fixed words
        [program("unshare"), *UNSHARE, "--mount-proc", program("true")],
        check=False, capture_output=True, text=True, timeout=TRY_SECONDS,
    )  # fmt: skip
    if attempt.returncode == 0:
        return None
    return f"the kernel allows no namespaces here ({attempt.stderr.strip() or 'no reason given'})"
