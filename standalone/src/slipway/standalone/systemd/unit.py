"""The text of the unit, and where everything of the service is. Pure.

The service has a user of its own and sees the system read-only but for its data folder: `up` and all that it
starts need no right that an ordinary user has not.
"""

import re
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

NAME = "slipway"
"""Of the unit and of its user."""
UNIT = Path("/etc/systemd/system/slipway.service")
ENVIRONMENT = Path("/etc/slipway/slipway.env")
"""The operator's settings, `SLIPWAY_NAME=value` lines; it may be missing."""
STATE = Path("/var/lib/slipway/data")
"""The data folder. Not its parent, in which root keeps what other data folders need."""
STOP_SECONDS = 90
"""Before systemd kills what is left: `up` ends its services one after the other within ten seconds, and what
PostgreSQL has in memory reaches even a slow disk. Jobs are not waited for: their next owner takes them up."""
MADE = "# Made by `slipway service install`"
"""How the unit begins; one that begins otherwise is somebody else's."""
_FIRST_FREE_PORT = 1024

_PLAIN = re.compile(r"[A-Za-z0-9_./:=,@+-]+")
"""A word that systemd reads as it is."""
_ESCAPES = MappingProxyType(
    {"\\": "\\\\", '"': '\\"', "%": "%%", "$": "$$", "\n": "\\n", "\t": "\\t", "\r": "\\r"}
)
_UNIT = """\
{made}, which overwrites it. Change it with `systemctl edit slipway`.
[Unit]
Description=Slipway, a control plane for LXC containers on Proxmox VE
Wants=network-online.target
After=network-online.target
StartLimitIntervalSec=0

[Service]
Type=exec
User={name}
Group={name}
ExecStart={command}
EnvironmentFile=-{environment}
Environment=HOME={state}
WorkingDirectory={state}
StateDirectory={name}/{leaf}
StateDirectoryMode=0700
UMask=0077
Restart=always
RestartSec=5
RestartPreventExitStatus=2
KillMode=mixed
TimeoutStopSec={stop_seconds}
OOMPolicy=continue
LimitNOFILE=65536

NoNewPrivileges=yes
CapabilityBoundingSet={capabilities}
AmbientCapabilities={capabilities}
ProtectSystem=strict
ProtectHome=yes
ProtectClock=yes
ProtectHostname=yes
ProtectControlGroups=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
ProtectProc=invisible
PrivateDevices=yes
PrivateTmp=yes
RemoveIPC=yes
RestrictAddressFamilies=AF_INET AF_INET6 AF_NETLINK AF_UNIX
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
LockPersonality=yes
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallErrorNumber=EPERM

[Install]
WantedBy=multi-user.target
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """What can differ between two installations of the service."""

    program: Path
    """The `slipway` command."""
    port: int
    options: tuple[str, ...] = ()
    """Further ones of `slipway up`."""


def unit_text(service: Service) -> str:
    """Return the unit."""
    program = _quoted(str(service.program))
    words = ["up", "--data", STATE, "--port", service.port, *service.options]
    return _UNIT.format(
        made=MADE,
        name=NAME,
        command=" ".join((program, *(_quoted(str(word)) for word in words))),
        environment=ENVIRONMENT,
        state=STATE,
        leaf=STATE.name,
        stop_seconds=STOP_SECONDS,
        capabilities="CAP_NET_BIND_SERVICE" if _needs_low_port(service) else "",
    )


def _needs_low_port(service: Service) -> bool:
    """Whether it listens below 1024: for the page, or (HTTP-01 of ACME) at port 80 for the CA."""
    asks_a_ca = any(each.partition("=")[0] == "--acme" for each in service.options)
    return asks_a_ca or 0 < service.port < _FIRST_FREE_PORT


def _quoted(word: str) -> str:
    """Return one word of a unit's command line (systemd.service(5), "Command lines")."""
    if _PLAIN.fullmatch(word):
        return word
    escaped = word
    for each, written in _ESCAPES.items():
        escaped = escaped.replace(each, written)
    return f'"{escaped}"'
