"""What Proxmox' schema takes at its edges, Slipway takes as well, or says why it does not.

Every value here is checked against the schema first. A refusal stands in `REFUSED` with the words of its
message that say why; what is not offered at all stands in `NOT_OFFERED`.
"""

from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Any

import asyncssh
import pytest
from contract.pve.test_create_parameters import CALL, NODE, NOT_SENT, faults, produced

from slipway.contracts.cluster_facts import BridgeFact, StorageFact
from slipway.contracts.cluster_settings import ClusterLimits
from slipway.contracts.job_kinds import KINDS, JobKind
from slipway.contracts.problems import SlipwayError
from slipway.inventory.containers import validation
from slipway.inventory.jobs import validation as jobs
from slipway.lab.schema.calls import TABLE
from support.pve_schema import check_request

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAICP+qXG+Or3eDRQ2cRKjwlsfm5u1Yc8pHsR0o0mMS1Vg"
SK_KEY = (
    "sk-ssh-ed25519@openssh.com AAAAGnNrLXNzaC1lZDI1NTE5QG9wZW5zc2guY29tAAAAIKkd1vT8Wm0Lw1cP9r0q1GzZkP3v"
    "J1m0D2Yy5l4kZ8nHAAAABHNzaDo="
)
EVERYTHING = ClusterLimits(restricted_keys=True, mount_paths=("/",))
NOT_OFFERED = frozenset(
    f"{name}.{part}"
    for name, parts in {
        "net[n]": ("host-managed", "type"),
        "mp[n]": ("idmap", "keepattrs", "mountoptions", "replicate", "shared", "size", "volume"),
        "rootfs": ("acl", "idmap", "mountoptions", "quota", "replicate", "ro", "shared", "size", "volume"),
    }.items()
    for part in parts
)
"""Parts without a field of their own: a volume is made by storage and size."""

TEXTS: Mapping[str, tuple[Any, ...]] = {
    "hostname": ("a", "0", "Web-1", "1.2", "mail.example.com", "x" * 63, "x" * 64, ".".join(["x" * 50] * 2)),
    "nameserver": ("1.1.1.1", "1.1.1.1 8.8.8.8", "1.1.1.1,8.8.8.8", "1.1.1.1; fd00::1", " ,::1\t::2; ",
                   "fe80::1%eth0", "FE80::1%eth0.5", "::ffff:10.0.0.1", ""),
    "searchdomain": ("a", "a b.example", "a,b.example;c", "a, b", "x" * 64, ""),
    "startup": ("1", "order=0", "up=1", "down=2,up=1,order=3", ",order=1,,", "order=1,order=2", "9" * 30),
    "timezone": ("host", "UTC", "Europe/Berlin", "America/Argentina/Buenos_Aires", "America/Port-au-Prince"),
    "description": ("a", "x" * 7800, "x" * 7801, "a\r\nb\tc", "\U0001f469\u200d\U0001f4bb\u00a0\u2028",
                    "a\x1b[2J", "a\rb", "slipway: mine"),
    "entrypoint": ("/sbin/init", "sh -c 'a\tb'", "\u00e9", " "),
    "env": ("A=", "1a=x", "_=\t,;=", "\u00e9=\u00e9", "A=1\0B=2"),
    "ostemplate": ("local:vztmpl/a b+c.tar.zst", "local:vztmpl/" + "x" * 242),
    "pool": ("a", "_", "-", ".", "a/b/c", "x" * 200),
    "storage": ("aa", "a-_..9", "x" * 200),
    "tags": ("a", "a+b.c-d;_x", "x" * 200),
    "hookscript": ("local:snippets/hook.pl", "a1:snippets/my hook;(1).sh", "local:iso/x.iso"),
    "ssh-public-keys": (
        KEY, f"{KEY} me\n", f"\n\n  {KEY} me\r\n\r\n", f"# mine\n{KEY}\n  # other", f"{KEY}\n{SK_KEY} two",
        f'from="10.0.0.0/8" {KEY}', f'restrict,command="echo \\"a # b\\"",no-pty   {KEY} a b',
        f"cert-authority {KEY}", KEY.replace(" ", "\t"), "# nothing", "no key",
        f"host.example {KEY}",
    ),
    "features.mount": ("nfs", "nfs;cifs", "NFS; nfs4 _"),
    "dev[n].path": ("/dev/kvm", "/dev/serial/by-path/pci-0000:00:14.0-usb-0:2:1.0-port0", "/dev/a b",
                    "/dev/.x/..y", "/dev/\u00e9"),
    "dev[n].mode": ("0000", "0777"),
    "mp[n].mp": ("/srv", "/a b", "/a..b/.c", "/x:1", "/" + "x" * 300, "srv", "/\u00e9", "/"),
    "net[n].name": ("eth0", "0", "-a", "a.b_c-d", "x" * 15, "x" * 16, "..", "\u00e9"),
    "net[n].bridge": ("vmbr0", "-x", "_", "a.b-c_d"),
    "net[n].hwaddr": ("00:00:00:00:00:00", "FE:ff:fF:ff:ff:ff"),
    "net[n].ip": ("dhcp", "manual", "10.0.0.5/8", "0.0.0.0/32", "203.0.113.9/32", "10.0.0.5/024"),
    "net[n].ip6": ("auto", "dhcp", "manual", "::/8", "::1/128", "::ffff:10.0.0.1/96"),
    "net[n].gw": ("10.0.0.1", "203.0.113.1", "255.255.255.255"),
    "net[n].gw6": ("fe80::1", "fd00::1", "2001:db8::1"),
    "net[n].trunks": ("1", "1;2", "0001;4094", "4095"),
    "net[n].rate": (1e-9, 0.5, 100_001, 1e15, -1),
    "password": ("five5", "\u00e9" * 255, "x" * 511, "x" * 512, "a\tbcd"),
}  # fmt: skip
"""Texts of each format and pattern, and numbers without bounds of their own."""

REFUSED: Mapping[tuple[str, Any], str] = {
    ("hostname", "x" * 64): "parts of at most 63",
    ("hostname", ".".join(["x" * 50] * 2)): "Linux takes no longer name",
    ("nameserver", ""): "nothing between its separators",
    ("searchdomain", "x" * 64): "parts of at most 63",
    ("searchdomain", ""): "nothing between its separators",
    ("description", "x" * 7801): "with Slipway's mark",
    ("description", "a\x1b[2J"): "would act on the terminal",
    ("description", "a\rb"): "would act on the terminal",
    ("description", "slipway: mine"): "is Slipway's own",
    ("entrypoint", " "): "A command",
    ("hookscript", "local:iso/x.iso"): "like local:snippets/",
    ("ssh-public-keys", "# nothing"): "no key in it",
    ("ssh-public-keys", "no key"): "Line 1 is no public key",
    ("ssh-public-keys", f"host.example {KEY}"): "Line 1 is no public key",
    ("dev[n].path", "/dev/\u00e9"): "is not like",
    ("mp[n].mp", "srv"): "begins with /",
    ("mp[n].mp", "/\u00e9"): "ASCII alone, which Proxmox keeps whole",
    ("mp[n].mp", "/"): "The root disk is there",
    ("net[n].name", "x" * 16): "Linux's limit",
    ("net[n].name", ".."): "Linux keeps ..",
    ("net[n].name", "\u00e9"): "Linux's limit",
    ("net[n].trunks", "4095"): "1 to 4094",
    ("net[n].rate", -1): "more than 0",
    ("password", "x" * 512): "hashes no longer password",
    ("password", "a\tbcd"): "without control characters",
    ("memory", 2**43): "bytes are counted in 63 bits",
    ("swap", 2**43): "bytes are counted in 63 bits",
}

Request = dict[str, Any]
FIXED: Mapping[str, Request] = MappingProxyType(
    {"gw": {"ip": "10.0.0.5/24"}, "gw6": {"ip6": "fd00::5/64"}, "mp": {"storage": "local-lvm", "size": 1}}
)
"""What else has to be there for a part to be told."""
RENAMED = MappingProxyType({"mp": "path", "ro": "readonly"})
UNBOUNDED: Mapping[str, tuple[Any, ...]] = {
    "memory": (2**24 + 1, 2**43 - 1, 2**43),
    "swap": (2**24 + 1, 2**43 - 1, 2**43),
    "bwlimit": (0.5, 2e9),
    "cpulimit": (0.0001,),
    "dev[n].uid": (2**32 - 1,),
    "dev[n].gid": (2**32 - 1,),
}
"""Numbers beside their declared bounds, where there is none above or a fraction is allowed."""


def requested(parameter: str, value: Any) -> Request:
    """Return the request that asks for a value of a parameter, or of a part of one (`net[n].gw`)."""
    name, _, part = parameter.partition(".")
    builders: Mapping[str, Callable[[], Request]] = {
        "net[n]": lambda: {"networks": [{**FIXED.get(part, {}), part: value}]},
        "mp[n]": lambda: {"mounts": [{"path": "/a", **FIXED["mp"], RENAMED.get(part, part): value}]},
        "dev[n]": lambda: {"devices": [value if part == "path" else f"/dev/a,{part}={_wire(value)}"]},
        "features": lambda: {"features": {part: value}},
        "tags": lambda: {"tags": value.split(";")},
        "env": lambda: {"env": dict(each.split("=", 1) for each in value.split("\0"))},
    }
    return builders.get(name, lambda: {name.replace("-", "_"): value})()


def sent(parameter: str, value: Any) -> Request:
    """Return a create call of Proxmox' with the value as it is."""
    name, _, part = parameter.partition(".")
    call = {"vmid": 100, "ostemplate": "local:vztmpl/a.tar.zst"}
    besides = {"net[n]": "name=eth0,", "mp[n]": "volume=local-lvm:1,"}.get(name, "")
    if name == "mp[n]" and part != "mp":
        besides += "mp=/a,"
    besides = "" if parameter == "net[n].name" else besides
    text = f"{besides}{part}={_wire(value)}" if part else value
    return call | {name.replace("[n]", "0"): text}


def edges(parameter: str, rule: Mapping[str, Any]) -> Iterator[Any]:
    """Return values that the schema takes, those at its bounds first."""
    yield from rule.get("enum", ())
    yield from (rule[bound] for bound in ("minimum", "maximum") if bound in rule)
    yield from (True, False) if rule["type"] == "boolean" else ()
    yield from (*TEXTS.get(parameter, ()), *UNBOUNDED.get(parameter, ()))


def leaves() -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Return each parameter of the create call that can be asked for, and each part of one."""
    by_ssh = {"dev[n]", "hookscript"}
    for name, rule in TABLE[CALL]["parameters"].items():
        if name in NOT_SENT and name not in by_ssh:
            continue
        if isinstance(rule.get("format"), dict):
            yield from ((f"{name}.{part}", each) for part, each in rule["format"].items())
        else:
            yield name, rule


OFFERED = {name: rule for name, rule in leaves() if name not in NOT_OFFERED}
CASES = [(name, value) for name, rule in OFFERED.items() for value in edges(name, rule)]


def refusal(parameter: str, value: Any) -> str | None:
    """Return why Slipway refuses a value; None if Proxmox is asked for it."""
    asked = requested(parameter, value)
    storages = {"local-lvm", asked.get("storage", "local-lvm")}
    node = NODE.model_copy(
        update={
            "storages": tuple(StorageFact(name=name, type="dir", content=("rootdir",)) for name in storages),
            "bridges": (BridgeFact(name=asked.get("networks", [{}])[0].get("bridge") or "vmbr0"),),
            "os_templates": (*NODE.os_templates, asked.get("ostemplate", "")),
        }
    )
    try:
        if parameter == "password":
            validation.check_secret("password", value)
            return None
        params = produced(asked, node, EVERYTHING)
    except SlipwayError as refused:
        return " ".join(each.message for each in refused.errors)
    assert faults(params) == []
    return None


@pytest.mark.parametrize("name", OFFERED)
def test_each_parameter_has_edges(name: str) -> None:
    """A parameter that Proxmox adds gets its edges here, or its place among those that are not offered."""
    assert [*edges(name, OFFERED[name])]


@pytest.mark.parametrize(("name", "value"), CASES)
def test_what_the_schema_takes_is_taken_or_refused_with_the_reason(name: str, value: Any) -> None:
    """A rule of ours that is narrower than Proxmox' own says why."""
    assert check_request("POST", "/nodes/pve1/lxc", sent(name, value)) == []

    why = refusal(name, value)

    assert (why is None) == ((name, value) not in REFUSED), why
    assert REFUSED.get((name, value), "") in (why or "")


def test_no_refusal_is_listed_that_is_none() -> None:
    """The list of reasons has no line of yesterday."""
    assert set(REFUSED) <= set(CASES)


@pytest.mark.parametrize("size", [0.001, 0.05, 1 / 3, 131_073, 2**33])
@pytest.mark.parametrize("disk", ["rootfs", "mp0"])
def test_a_disk_has_any_size_of_a_mebibyte_and_more(disk: str, size: float) -> None:
    """Proxmox has no bounds there; all digits are sent, and no exponent."""
    mount = {"mounts": [{"storage": "local-lvm", "path": "/a", "size": size}]}

    params = produced({"disk": size} if disk == "rootfs" else mount)

    written = str(params[disk]).partition(":")[2].partition(",")[0]
    assert float(written) == size
    assert "e" not in written


@pytest.mark.parametrize("keys", [each for each in TEXTS["ssh-public-keys"] if KEY[:11] in each][:-1])
def test_each_line_of_keys_that_is_sent_is_a_key(keys: str) -> None:
    """Proxmox looks at each line by itself, and refuses a comment as much as an unknown word."""
    lines = str(produced({"ssh_public_keys": keys})["ssh-public-keys"]).split("\n")

    assert [line for line in lines if "\r" in line or "  " in line] == []
    assert all(asyncssh.import_authorized_keys(line) for line in lines)


JOBS: tuple[tuple[JobKind, Request, str | None], ...] = (
    (JobKind.SNAPSHOT, {"snapshot": "a1"}, None),
    (JobKind.SNAPSHOT, {"snapshot": "A" + "_" * 39, "description": "slipway: mine\r\n\u00a0"}, None),
    (JobKind.SNAPSHOT, {"snapshot": "current"}, "Proxmox keeps the name current"),
    (JobKind.SNAPSHOT, {"snapshot": "vzdump"}, "Proxmox keeps the name vzdump"),
    (JobKind.SNAPSHOT_DELETE, {"snapshot": "vzdump"}, None),
    (JobKind.BACKUP, {"mode": "snapshot", "storage": "aa"}, None),
    (JobKind.BACKUP, {"mode": "suspend", "storage": "x" * 200}, None),
    (JobKind.BACKUP, {"mode": "stop", "description": "x" * 1024}, None),
    (JobKind.BACKUP, {"description": "slipway: mine\r\n{{cluster}}{{guestname}}{{node}}{{vmid}}"}, None),
    (JobKind.BACKUP, {"description": "{{unknown}}"}, "it takes only what it fills in"),
    (JobKind.CLONE, {"hostname": "mail.example.com", "vmid": 999_999_999, "storage": "x" * 200}, None),
    (JobKind.CLONE, {"hostname": "a", "vmid": 100, "target_node": "0", "snapshot": "a1"}, None),
    (JobKind.MIGRATE, {"target_node": "PVE-1", "storage": "a-_..9"}, None),
    (JobKind.RESIZE, {"cores": 8192, "memory": 16, "swap": 0, "disk": 131_072.5}, None),
    (JobKind.SHUTDOWN, {"grace_seconds": 0}, None),
    (JobKind.SHUTDOWN, {"grace_seconds": 3601}, "holds a place in its node's queue"),
    (JobKind.RESTORE, {"backup": "a-_.9:backup/vzdump-lxc-100-2026_01_01-00_00_00.tar.zst"}, None),
    (JobKind.RESTORE, {"backup": "pbs:backup/ct/100/2026-01-01T00:00:00Z"}, None),
    (JobKind.CONFIGURE, {"hostname": "mail.example.com", "tags": ["a+b.c-d", "x" * 200]}, None),
    (JobKind.CONFIGURE, {"nameserver": "1.1.1.1,fe80::1%eth0", "searchdomain": "a;b.example"}, None),
    (JobKind.CONFIGURE, {"networks": [{"ip": "203.0.113.9/32", "gw": "203.0.113.1"}]}, None),
    (JobKind.CONFIGURE, {"networks": [{"ip": "dhcp", "gw": "10.0.0.1"}]}, "Alpine up without it"),
)  # fmt: skip
"""Arguments of jobs at the edges of their calls, and the reason where they are refused."""


@pytest.mark.parametrize(("kind", "args", "reason"), JOBS)
def test_jobs_take_what_their_calls_take(kind: JobKind, args: Request, reason: str | None) -> None:
    """Or the message says why not."""
    refuse: Callable[[], None] = lambda: jobs.check(kind, KINDS[kind].args.model_validate(args))  # noqa: E731

    if reason is None:
        refuse()
    else:
        with pytest.raises(SlipwayError) as refused:
            refuse()
        assert reason in refused.value.errors[0].message


def _wire(value: Any) -> str:
    return (
        str(int(value))
        if isinstance(value, bool)
        else f"{value:f}"
        if isinstance(value, float)
        else str(value)
    )
