"""What a container's configuration may hold: the options shared by create and change, and their parts.

Only declarations. A contract test holds them against the table derived from Proxmox' own schema.
"""

from collections.abc import Mapping
from typing import Final

from slipway.lab.schema.parameters import Parameter, Parts, flag, integer, number, text

_IDMAP: Final = text(
    pattern=r"(?:^(?:passthrough|[ug]:[0-9]+:[0-9]+:[1-9][0-9]*(?:;[ug]:[0-9]+:[0-9]+:[1-9][0-9]*)*)$)"
)
_MOUNT_OPTIONS: Final = text(
    pattern=r"(?:(?:(discard|lazytime|noatime|nodev|noexec|nosuid))"
    r"(;(?:(discard|lazytime|noatime|nodev|noexec|nosuid)))*)"
)
_CONTROL_FREE: Final = r"[^\x00-\x08\x0a-\x1F\x7F]"

NETWORK: Final[Parts] = {
    "bridge": text(pattern=r"[-_.\w\d]+"),
    "firewall": flag(),
    "gw": text(format="ipv4"),
    "gw6": text(format="ipv6"),
    "host-managed": flag(),
    "hwaddr": text(format="mac-addr"),
    "ip": text(format="pve-ipv4-config"),
    "ip6": text(format="pve-ipv6-config"),
    "link_down": flag(),
    "mtu": integer(minimum=64, maximum=65535),
    "name": text(required=True, pattern=r"[-_.\w\d]+"),
    "rate": number(),
    "tag": integer(minimum=1, maximum=4094),
    "trunks": text(pattern=r"(?:\d+(?:;\d+)*)"),
    "type": text(choices=("veth",)),
}
FEATURES: Final[Parts] = {
    "force_rw_sys": flag(),
    "fuse": flag(),
    "keyctl": flag(),
    "mknod": flag(),
    "mount": text(pattern=r"(?:[a-zA-Z0-9_; ]+)"),
    "nesting": flag(),
}
ROOTFS: Final[Parts] = {
    "acl": flag(),
    "idmap": _IDMAP,
    "mountoptions": _MOUNT_OPTIONS,
    "quota": flag(),
    "replicate": flag(),
    "ro": flag(),
    "shared": flag(),
    "size": text(format="disk-size"),
    "volume": text(required=True, format="pve-lxc-mp-string", is_default_key=True),
}
MOUNT_POINT: Final[Parts] = {
    **ROOTFS,
    "backup": flag(),
    "keepattrs": flag(),
    "mp": text(required=True, format="pve-lxc-mp-string"),
}
DEVICE: Final[Parts] = {
    "deny-write": flag(),
    "gid": integer(minimum=0),
    "mode": text(pattern=r"0[0-7]{3}"),
    "path": text(format="pve-lxc-dev-string", is_default_key=True),
    "uid": integer(minimum=0),
}
UNUSED: Final[Parts] = {"volume": text(required=True, format="pve-volume-id", is_default_key=True)}

OPTIONS: Final[Mapping[str, Parameter]] = {
    "arch": text(choices=("amd64", "i386", "arm64", "armhf", "riscv32", "riscv64")),
    "cmode": text(choices=("shell", "console", "tty")),
    "console": flag(),
    "cores": integer(minimum=1, maximum=8192),
    "cpulimit": number(minimum=0, maximum=8192),
    "cpuunits": integer(minimum=0, maximum=500000),
    "debug": flag(),
    "description": text(max_length=8192),
    "dev[n]": Parameter(kind="string", parts=DEVICE),
    "entrypoint": text(pattern=rf"(?:{_CONTROL_FREE}+)"),
    "env": text(pattern=rf"(?:(?:\w+={_CONTROL_FREE}*)(?:\0\w+={_CONTROL_FREE}*)*)"),
    "features": Parameter(kind="string", parts=FEATURES),
    "hookscript": text(format="pve-volume-id"),
    "hostname": text(format="dns-name", max_length=255),
    "lock": text(
        choices=(
            "backup",
            "create",
            "destroyed",
            "disk",
            "fstrim",
            "migrate",
            "mounted",
            "rollback",
            "snapshot",
            "snapshot-delete",
        )
    ),
    "memory": integer(minimum=16),
    "mp[n]": Parameter(kind="string", parts=MOUNT_POINT),
    "nameserver": text(format="lxc-ip-with-ll-iface-list"),
    "net[n]": Parameter(kind="string", parts=NETWORK),
    "onboot": flag(),
    "ostype": text(
        choices=(
            "debian",
            "devuan",
            "ubuntu",
            "centos",
            "fedora",
            "opensuse",
            "archlinux",
            "alpine",
            "gentoo",
            "nixos",
            "unmanaged",
        )
    ),
    "protection": flag(),
    "rootfs": Parameter(kind="string", parts=ROOTFS),
    "searchdomain": text(format="dns-name-list"),
    "startup": text(format="pve-startup-order"),
    "swap": integer(minimum=0),
    "tags": text(format="pve-tag-list"),
    "template": flag(),
    "timezone": text(format="pve-ct-timezone"),
    "tty": integer(minimum=0, maximum=6),
    "unprivileged": flag(),
    "unused[n]": Parameter(kind="string", parts=UNUSED),
}
