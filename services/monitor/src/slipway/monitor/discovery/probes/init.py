"""Whether a guest has finished starting: what runs before that says little."""

_STARTS = frozenset({"initializing", "starting"})


COMMAND = (
    "if command -v systemctl >/dev/null; then timeout 4 systemctl is-system-running;"
    " elif command -v openrc >/dev/null; then level=; read -r level </run/openrc/softlevel;"
    ' case $level in "" | sysinit | boot) echo starting ;; esac;'
    " [ ! -e /run/openrc/rc.starting ] || echo starting; fi"
)
"""Print how far the init is: systemd, which gets four seconds to say it, or OpenRC."""


def has_settled(output: str) -> bool:
    """Return whether the start is over; a guest with another init counts as started."""
    return _STARTS.isdisjoint(output.split())
