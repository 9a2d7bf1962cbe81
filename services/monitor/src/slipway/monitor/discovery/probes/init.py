"""Whether a guest has finished starting: what runs before that says little."""

_STARTS = frozenset({"initializing", "starting"})


COMMAND = (
    "if command -v systemctl >/dev/null; then timeout 4 systemctl is-system-running;"
    " elif command -v openrc >/dev/null; then level=; read -r level </run/openrc/softlevel;"
    ' case $level in "" | sysinit | boot) echo starting ;; esac;'
    " if grep -qsx openrc /proc/[0-9]*/comm; then echo starting; fi; fi"
)
"""Print how far the init is: systemd, which gets four seconds to say it, or OpenRC.

Its own mark, `rc.starting`, is not there all the time that it starts services (OpenRC 0.63, observed).
"""


def has_settled(output: str) -> bool:
    """Return whether the start is over; a guest with another init counts as started."""
    return _STARTS.isdisjoint(output.split())
