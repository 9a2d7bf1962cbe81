"""How far a guest's boot is, whatever its init, and whether it reaches its package mirror: one command."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Self

from slipway.provisioner.host import packages
from slipway.provisioner.host.work import Work

DONE = frozenset({"running", "degraded"})
BOOTING = frozenset({"initializing", "starting"})
"""The states in which a boot goes on (systemctl(1), `is-system-running`); any other is no boot any more."""
_MIRROR_TIMEOUT = timedelta(seconds=60)

INIT = """
ends=$(($(date +%s) + $1))
openrc=/run/openrc
init_state() {
    if command -v systemctl >/dev/null 2>&1; then
        state=$(timeout 10 systemctl is-system-running 2>/dev/null) || :
        if [ "$state" = offline ]; then
            case $(readlink /proc/1/exe) in */systemd) ;; *) state=running ;; esac
        fi
    elif command -v openrc >/dev/null 2>&1; then
        level=$(cat $openrc/softlevel 2>/dev/null) || :
        case $level in '' | sysinit | boot) state=starting ;; *) state=running ;; esac
        [ ! -e $openrc/rc.starting ] || state=starting
    else
        state=running
    fi
}
while :; do
    init_state
    case $state in running | degraded | maintenance | stopping) break ;; esac
    [ "$(date +%s)" -lt "$ends" ] || break
    sleep 0.2
done
printf 'init=%s\\n' "$state"
case $state in
    running | degraded) ;;
    *)
        timeout 10 systemctl list-jobs --no-legend --no-pager 2>/dev/null | while read -r _ unit _ job; do
            [ "$job" != running ] || printf 'awaits=%s\\n' "$unit"
        done
        for each in $openrc/starting/*; do [ ! -e "$each" ] || printf 'awaits=%s\\n' "${each##*/}"; done ;;
esac
"""
"""Debian and its like have systemd, Alpine has OpenRC; any other init does not say how far it is. OpenRC
stores its runlevel before it starts the services of that, and has `rc.starting` while it does (its rc.c)."""
NETWORK = """
case $state/$2 in running/* | degraded/* | */last) ;; *) exit 0 ;; esac
printf 'route=%s\\n' "$(ip route show default 2>/dev/null | head -n 1)"
uri=$(apt-get update --print-uris 2>/dev/null | sed -n "s/^'\\([^']*\\)' .*InRelease.*/\\1/p" | head -n 1)
helper=/usr/lib/apt/apt-helper
if [ -n "$uri" ] && [ -x "$helper" ]; then
    host=$(printf '%s' "$uri" | sed 's,^[a-z+]*://\\([^/:]*\\).*,\\1,')
    printf 'mirror_host=%s\\n' "$host"
    export RES_OPTIONS='timeout:3 attempts:2'
    printf 'dns=%s\\n' "$(getent hosts "$host" | head -n 1)"
    file=$(mktemp)
    set -- -o Acquire::Retries=1 -o Acquire::http::Timeout=15 -o Acquire::https::Timeout=15
    if timeout 45 "$helper" "$@" download-file "$uri" "$file" >/dev/null 2>&1; then
        printf 'mirror=reached\\n'
    else
        printf 'mirror=unreachable\\n'
    fi
    rm -f "$file"
fi
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Boot:
    """A guest's boot, as one look found it."""

    init: str
    """The state of systemd, or the same word for what another init is at; empty if nothing answered."""
    awaits: tuple[str, ...] = ()
    """The units or services that are being started."""
    network: Mapping[str, str]
    """`route`, `dns`, `mirror_host`, and `mirror`: `reached` or `unreachable`."""

    @classmethod
    def read(cls, output: str) -> Self:
        """Read what the script printed."""
        pairs = [line.partition("=")[::2] for line in output.splitlines()]
        fields = dict(pairs)
        return cls(
            init=fields.pop("init", ""),
            awaits=tuple(value for name, value in pairs if name == "awaits"),
            network=fields,
        )

    @property
    def has_no_mirror(self) -> bool:
        """Whether it needs a package mirror and does not reach it."""
        return self.network.get("mirror") == "unreachable"


async def look(
    work: Work, wait: timedelta, *, is_last: bool = False, needs_mirror: bool | None = None
) -> Boot:
    """Look into the guest when its boot is done, or after this wait; one command in it.

    The mirror is asked for when the boot is done, or at the last look; by default if there are packages.
    """
    asks = bool(packages.by_manager(work)) if needs_mirror is None else needs_mirror
    script = INIT + (NETWORK if asks else "")
    seconds = max(0, round(wait.total_seconds()))
    done = await work.pct.script(
        work.target.vmid,
        script,
        (str(seconds), "last" if is_last else "first"),
        timeout=timedelta(seconds=seconds) + _MIRROR_TIMEOUT,
    )
    return Boot.read(done.stdout)
