"""Container specs: what may be requested of a new container.

Words and units are Proxmox's (`memory` in MiB, `disk` in GiB).
"""

from collections.abc import Mapping

from pydantic import Field

from slipway.contracts.message import Value
from slipway.contracts.values import OnFailure


class NetworkSpec(Value):
    """One network device, `net0` first.

    In a change, None leaves a setting as it is; 0 or an empty text takes `tag`, `trunks`, `mtu`, `rate` away.
    """

    name: str | None = None
    """Inside the guest; `eth0` for the first."""
    bridge: str | None = None
    """None takes the node's first bridge."""
    ip: str | None = None
    """`dhcp`, `manual`, or an address with prefix length; None is `dhcp` for the first device."""
    gw: str | None = None
    """It may lie outside of the address's network."""
    ip6: str | None = None
    """`auto`, `dhcp`, `manual`, or an address with prefix length."""
    gw6: str | None = None
    tag: int | None = None
    """VLAN, 1 to 4094."""
    trunks: str | None = None
    mtu: int | None = None
    rate: float | None = None
    """MB/s."""
    firewall: bool | None = None
    link_down: bool | None = None
    hwaddr: str | None = None


class MountSpec(Value):
    """One additional volume, or a folder of the host: a bind mount, if the operator allows it."""

    storage: str
    """A storage's name; or an absolute host path, whose bind mount has no option but `readonly`."""
    size: float | None = None
    """GiB."""
    path: str
    """Guest path."""
    backup: bool | None = None
    readonly: bool | None = None
    acl: bool | None = None
    quota: bool | None = None

    @property
    def is_bind(self) -> bool:
        """Whether it is a folder of the host."""
        return self.storage.startswith("/")


class PackageSpec(Value):
    """Packages for one manager."""

    manager: str = "apt"
    names: tuple[str, ...]


class GuestSettings(Value):
    """How a guest reaches what is outside; set up in it before its first package.

    In a request None is what the cluster's site defaults say, and an empty text is none of it.
    """

    http_proxy: str | None = None
    """`http://proxy.lan:3128`, for its package manager, its scripts and the shells of its users."""
    no_proxy: str | None = None
    """Names, domains (`.lan`) and networks that it reaches without the proxy, separated by commas."""
    apt_mirror: str | None = None
    """`http://mirror.lan`: below it are `debian`, `debian-security` and `ubuntu`, as far as needed."""
    apt_cache: str | None = None
    """`http://cache.lan:3142`: a proxy for apt alone, like apt-cacher-ng."""
    apk_mirror: str | None = None
    """`http://mirror.lan/alpine`, in the place of `https://dl-cdn.alpinelinux.org/alpine`."""
    ca: str | None = None
    """Certificates of the site's own authorities, PEM; the guest trusts them. The spec of a container that
    exists leaves them out."""
    is_outgoing_blocked: bool | None = None
    """Whether nodes and guests reach nothing outside but by what is set here; what can't work then is
    refused."""


class ContainerSettings(Value):
    """What a container may be asked to have, and what its config says; None is left to Proxmox."""

    cores: int | None = None
    cpulimit: float | None = None
    cpuunits: int | None = None
    memory: int | None = None
    """MiB."""
    swap: int | None = None
    """MiB."""
    disk: float | None = None
    """Root disk, GiB."""
    storage: str | None = None
    """The root disk's."""
    mounts: tuple[MountSpec, ...] = ()
    devices: tuple[str, ...] = ()
    networks: tuple[NetworkSpec, ...] = ()
    nameserver: str | None = None
    """Addresses with blanks, commas or semicolons between two; `searchdomain` alike."""
    searchdomain: str | None = None
    unprivileged: bool | None = None
    features: Mapping[str, bool | str] = Field(default_factory=dict)
    """`nesting`, `keyctl`, `fuse`, `mknod`, `mount`, `force_rw_sys`."""
    onboot: bool | None = None
    startup: str | None = None
    protection: bool | None = None
    timezone: str | None = None
    description: str | None = None
    """The user's part of the notes."""
    tags: tuple[str, ...] = ()
    arch: str | None = None
    ostype: str | None = None
    cmode: str | None = None
    console: bool | None = None
    tty: int | None = None
    debug: bool | None = None
    hookscript: str | None = None
    entrypoint: str | None = None


class ContainerSpec(ContainerSettings):
    """Everything that may be asked of a new container; only `hostname` and a source are needed."""

    hostname: str
    """Dots may be in it (`mail.example.com`); no other container of the cluster has it."""
    template: str | None = None
    """Name of a Slipway template; or give `ostemplate`, or both to override the template's."""
    ostemplate: str | None = None
    """A volume (`local:vztmpl/...`) or the start of an archive's name (`debian-12-standard`)."""
    cluster: str | None = None
    """Name or id; None takes the only one."""
    node: str | None = None
    vmid: int | None = None
    """None lets Slipway choose; the choice is provisional until the container exists."""
    ssh_public_keys: str | None = None
    """Root's, as in `authorized_keys`; empty lines and comments are left out."""
    guest: GuestSettings | None = None
    """Proxy, package mirrors and certificates; None is what the cluster's site defaults say."""
    pool: str | None = None
    bwlimit: float | None = None
    env: Mapping[str, str] = Field(default_factory=dict)
    on_failure: OnFailure = OnFailure.KEEP
    variables: Mapping[str, str] = Field(default_factory=dict)
    """Values for the template's variables; secret ones travel sealed, beside the spec."""
    packages: tuple[PackageSpec, ...] = ()
    """In addition to the template's."""
    scripts: tuple[str, ...] | None = None
    """Names of the template's scripts to run, in this order; None runs all."""
