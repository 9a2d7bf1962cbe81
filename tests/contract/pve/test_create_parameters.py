"""Each parameter of the create call can be asked for, or a table says why not; all of it fits the schema."""

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from slipway.contracts.cluster_facts import BridgeFact, NodeFacts, StorageFact
from slipway.contracts.cluster_settings import DENIED, ClusterLimits
from slipway.contracts.container_specs import ContainerSpec
from slipway.contracts.jobs import Target
from slipway.contracts.problems import SlipwayError
from slipway.inventory.containers import defaults, validation
from slipway.lab.schema.calls import TABLE
from slipway.provisioner.host import parameters
from support.pve_schema import check_request

CALL = "POST /nodes/{node}/lxc"
ARCHIVE = "local:vztmpl/debian-12-standard_12.7-1_amd64.tar.zst"
NODE = NodeFacts(
    node="pve1",
    is_online=True,
    storages=(StorageFact(name="local-lvm", type="lvmthin", content=("rootdir",)),),
    bridges=(BridgeFact(name="vmbr0"),),
    os_templates=(ARCHIVE,),
    observed_at=datetime(2026, 1, 1, tzinfo=UTC),
)
NOT_SENT = {
    "node": "in the path",
    "dev[n]": "only root@pam may pass devices; `pct set` does it",
    "hookscript": "only root@pam may set it; `pct set` does it",
    "start": "a step of its own, after the config was checked",
    "force": "would overwrite a container that exists",
    "restore": "a creation is never from a backup",
    "unique": "belongs to restore",
    "ignore-unpack-errors": "a half unpacked system is no container",
    "lock": "Proxmox' own",
    "template": "makes a Proxmox template, no container",
    "unused[n]": "Proxmox' own",
    "ha-managed": "needs rights over the whole cluster",
}
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAICP+qXG+Or3eDRQ2cRKjwlsfm5u1Yc8pHsR0o0mMS1Vg"
MAXIMAL: dict[str, Any] = {
    "hostname": "web-1", "ostemplate": ARCHIVE, "arch": "amd64", "bwlimit": 1024.5, "cmode": "tty",
    "console": True, "cores": 2, "cpulimit": 0.0625, "cpuunits": 100, "debug": True,
    "description": "x" * 7800,
    "disk": 8.5, "entrypoint": "/sbin/init", "env": {"A": "1,2", "B": "x=y"}, "features": {"nesting": True},
    "memory": 512, "nameserver": "10.0.0.1 fd00::1", "onboot": True, "ostype": "debian", "pool": "lab",
    "protection": True, "searchdomain": "lan.example", "ssh_public_keys": f"{KEY} me",
    "startup": "order=1,up=30,down=60", "storage": "local-lvm", "swap": 0, "tags": ["a", "b"],
    "timezone": "Europe/Berlin", "tty": 2, "unprivileged": True,
    "mounts": [{"storage": "local-lvm", "size": 1.5, "path": "/srv", "backup": True, "readonly": True,
                "acl": True, "quota": False}],
    "networks": [{"name": "eth0", "bridge": "vmbr0", "ip": "10.0.0.5/24", "gw": "10.0.0.1", "tag": 7,
                  "ip6": "fd00::5/64", "gw6": "fe80::1", "trunks": "5;6", "mtu": 1450, "rate": 0.5,
                  "firewall": True, "link_down": False, "hwaddr": "BC:24:11:00:00:01"}],
}  # fmt: skip


def produced(
    asked: dict[str, Any], node: NodeFacts = NODE, limits: ClusterLimits = DENIED
) -> parameters.Params:
    """Return what would be sent; raises if the request is refused."""
    spec = ContainerSpec.model_validate({"hostname": "web-1", "ostemplate": ARCHIVE, **asked})
    validation.check(spec, None, node, limits)
    target = Target(
        container="c" * 36,
        cluster="k" * 36,
        node="pve1",
        cluster_name="lab",
        vmid=spec.vmid or 100,
        hostname=spec.hostname,
    )
    full = defaults.complete(spec, None, node)
    return parameters.of(full, target, "j" * 36, ostemplate=str(full.ostemplate), password="five5")


def outcome(asked: dict[str, Any]) -> list[str]:
    """Return what is wrong with what became of a request: nothing if it was refused by a field's name."""
    try:
        params = produced(asked)
    except SlipwayError as refused:
        return [] if refused.errors else ["refused without a field"]
    return faults(params)


def faults(params: parameters.Params) -> list[str]:
    """Return what Proxmox would not take."""
    return check_request("POST", "/nodes/pve1/lxc", params)


@pytest.mark.parametrize("name", TABLE[CALL]["parameters"])
def test_each_parameter_is_sent_or_has_its_reason(name: str) -> None:
    """Nothing of Proxmox' create call is forgotten."""
    is_sent = name.replace("[n]", "0") in produced(MAXIMAL)

    assert is_sent != (name in NOT_SENT)


def test_everything_at_once_fits_the_schema() -> None:
    """A request with each field set is one that Proxmox takes."""
    assert faults(produced(MAXIMAL)) == []


TEXT = st.text(max_size=12) | st.sampled_from(
    [
        "dhcp",
        "10.0.0.5/24",
        "10.0.0.1",
        "fd00::5/64",
        "a,b",
        "a=b",
        "$(x)",
        "a\n",
        "order=1",
        "/srv",
        "\u0661",
    ]
)
NUMBER = st.floats() | st.integers(min_value=-5, max_value=10**7) | st.floats(min_value=0, max_value=10)
NETWORK = st.fixed_dictionaries(
    {},
    optional=dict.fromkeys(("name", "ip", "gw", "ip6", "gw6", "trunks", "hwaddr"), TEXT)
    | {"rate": NUMBER, "tag": st.integers(), "mtu": st.integers(), "firewall": st.booleans()},
)
MOUNT = st.fixed_dictionaries(
    {"storage": st.just("local-lvm"), "path": TEXT}, optional={"size": NUMBER, "backup": st.booleans()}
)
TEXTS = ("startup", "timezone", "nameserver", "searchdomain", "pool", "ostype", "description", "entrypoint")
WHOLE = ("cores", "memory", "swap", "cpuunits", "tty")
FRACTIONS = ("disk", "cpulimit", "bwlimit")
ASKED = st.one_of(
    st.fixed_dictionaries({"networks": st.lists(NETWORK, min_size=1, max_size=2)}),
    st.fixed_dictionaries({"mounts": st.lists(MOUNT, min_size=1, max_size=2)}),
    st.sampled_from(TEXTS).flatmap(lambda name: st.fixed_dictionaries({name: TEXT})),
    st.sampled_from(WHOLE).flatmap(lambda name: st.fixed_dictionaries({name: st.integers()})),
    st.sampled_from(FRACTIONS).flatmap(lambda name: st.fixed_dictionaries({name: NUMBER})),
    st.fixed_dictionaries({"tags": st.lists(TEXT, max_size=3)}),
    st.fixed_dictionaries({"env": st.dictionaries(TEXT, TEXT, max_size=2)}),
)


@given(asked=ASKED)
@settings(deadline=None, max_examples=400)
def test_a_request_is_refused_by_field_or_fits_the_schema(asked: dict[str, Any]) -> None:
    """Whatever is asked: either the fault has a field, or Proxmox takes what is sent."""
    assert outcome(asked) == []
