"""What a request must keep to, reported with the field's name."""

from datetime import UTC, datetime
from typing import Any

import asyncssh
import pytest

from slipway.contracts.cluster_facts import BridgeFact, NodeFacts, StorageFact
from slipway.contracts.container_specs import ContainerSpec
from slipway.contracts.templates import Manifest, TemplateScript, Variable
from slipway.inventory.containers.validation import ContainerInvalid, check
from slipway.inventory.containers.validation.restricted import RestrictedKey

KEY = "AAAAC3NzaC1lZDI1NTE5AAAAICP+qXG+Or3eDRQ2cRKjwlsfm5u1Yc8pHsR0o0mMS1Vg"
NODE = NodeFacts(
    node="pve1",
    is_online=True,
    storages=(
        StorageFact(name="local", type="dir", content=("vztmpl",)),
        StorageFact(name="local-lvm", type="lvmthin", content=("rootdir", "images")),
    ),
    bridges=(BridgeFact(name="vmbr0", subnets=("10.0.0.1/24",)),),
    observed_at=datetime(2026, 1, 1, tzinfo=UTC),
)
MANIFEST = Manifest(
    name="web",
    version="1.0.0",
    description="",
    ostemplate="debian-12-standard",
    scripts=(TemplateScript(name="10-go.sh"),),
    variables=(Variable(name="title", pattern="[a-z]+"),),
)


def fields(**asked: Any) -> list[str]:
    """Return the fields that are refused."""
    spec = ContainerSpec.model_validate({"hostname": "web-1", **asked})
    try:
        check(spec, MANIFEST, NODE)
    except ContainerInvalid as refused:
        return [error.field for error in refused.errors]
    return []


@pytest.mark.parametrize(
    "asked",
    [
        {},
        {"networks": [{"bridge": "vmbr0", "ip": "10.0.0.5/24", "gw": "10.0.0.1", "tag": 7, "mtu": 1450}]},
        {"networks": [{"ip": "dhcp", "ip6": "auto"}]},
        {"networks": [{"ip": "manual", "ip6": "fd00::5/64", "gw6": "fd00::1"}]},
        {
            "networks": [
                {"ip": "203.0.113.9/32", "gw": "203.0.113.1", "ip6": "2001:db8::9/128", "gw6": "fe80::1"}
            ]
        },
        {"networks": [{"ip6": "2001:db8::9/128", "gw6": "2001:db8:1::1"}]},
        {"hostname": "mail.example.com"},
        {"hostname": "x" * 63},
        {"disk": 0.05, "memory": 2**25, "swap": 2**25, "pool": "team/web/_old"},
        {"nameserver": "10.0.0.1 fd00::1", "searchdomain": "lan.example", "timezone": "Europe/Berlin"},
        {"tags": ["prod", "web_1"], "packages": [{"names": ["libstdc++6", "nginx=1.22.1-9"]}]},
        {"scripts": ["10-go.sh"], "variables": {"title": "hello"}, "startup": "order=1,up=30"},
        {
            "mounts": [{"storage": "local-lvm", "size": 8, "path": "/srv/pages"}],
            "features": {"nesting": True},
        },
    ],
)
def test_sound_requests_pass(asked: dict[str, Any]) -> None:
    """What Proxmox takes is not refused."""
    assert fields(**asked) == []


@pytest.mark.parametrize(
    ("asked", "field"),
    [
        ({"hostname": "-web"}, "hostname"),
        ({"hostname": "a b"}, "hostname"),
        ({"hostname": "a\n"}, "hostname"),
        ({"hostname": "x" * 64}, "hostname"),
        ({"hostname": "mail..example.com"}, "hostname"),
        ({"hostname": "mail.example.com."}, "hostname"),
        ({"hostname": ".".join(["x" * 32] * 2)}, "hostname"),
        ({"vmid": 99}, "vmid"),
        ({"memory": 0}, "memory"),
        ({"cores": 0}, "cores"),
        ({"disk": 0}, "disk"),
        ({"storage": "local"}, "storage"),
        ({"networks": [{"bridge": "vmbr9"}]}, "networks.0.bridge"),
        ({"networks": [{"ip": ""}]}, "networks.0.ip"),
        ({"networks": [{"ip": "10.0.0.5"}]}, "networks.0.ip"),
        ({"networks": [{"ip": "10.0.0.5/24,gw=6.6.6.6"}]}, "networks.0.ip"),
        ({"networks": [{"ip": "fd00::5/64"}]}, "networks.0.ip"),
        ({"networks": [{"ip": "10.0.0.5/24", "gw": "fe80::1"}]}, "networks.0.gw"),
        ({"networks": [{"ip6": "fd00::5/64", "gw6": "10.0.0.1"}]}, "networks.0.gw6"),
        ({"networks": [{"ip": "10.0.0.5/7"}]}, "networks.0.ip"),
        ({"networks": [{"ip6": "fd00::5/7"}]}, "networks.0.ip6"),
        ({"networks": [{"name": "lo"}]}, "networks.0.name"),
        ({"networks": [{"ip": "dhcp", "gw": "10.0.0.1"}]}, "networks.0.gw"),
        ({"networks": [{"hwaddr": "00:00,x"}]}, "networks.0.hwaddr"),
        ({"networks": [{"tag": 4095}]}, "networks.0.tag"),
        ({"nameserver": "8.8.8.8; reboot"}, "nameserver"),
        ({"nameserver": "$(reboot)"}, "nameserver"),
        ({"searchdomain": "a,-b"}, "searchdomain"),
        ({"tags": ["a;b"]}, "tags.0"),
        ({"tags": ["a\nb"]}, "tags.0"),
        ({"packages": [{"names": ["curl; reboot"]}]}, "packages.0.names.0"),
        ({"packages": [{"names": ["-o=evil"]}]}, "packages.0.names.0"),
        ({"packages": [{"manager": "brew", "names": []}]}, "packages.0.manager"),
        ({"scripts": ["../10-go.sh"]}, "scripts.0"),
        ({"variables": {"none": "x"}}, "variables.none"),
        ({"variables": {"title": "X"}}, "variables.title"),
        ({"mounts": [{"storage": "local-lvm", "size": 1, "path": "srv"}]}, "mounts.0.path"),
        ({"mounts": [{"storage": "local-lvm", "size": 1, "path": "/a,b"}]}, "mounts.0.path"),
        ({"features": {"evil": True}}, "features.evil"),
        ({"timezone": "Europe/Berlin,x"}, "timezone"),
        ({"networks": [{"ip6": "fd00::1%a,gw=6.6.6.6/64"}]}, "networks.0.ip6"),
        ({"networks": [{"ip6": "fd00::5/64", "gw6": "fd00::1%a,mtu=64"}]}, "networks.0.gw6"),
        ({"networks": [{"ip": "10.0.0.5/255.255.255.0"}]}, "networks.0.ip"),
        ({"networks": [{"rate": -1}]}, "networks.0.rate"),
        ({"networks": [{"rate": float("nan")}]}, "networks.0.rate"),
        ({"networks": [{"trunks": "5,6"}]}, "networks.0.trunks"),
        ({"networks": [{"trunks": "5;4095"}]}, "networks.0.trunks"),
        ({"networks": [{"hwaddr": "01:00:00:00:00:01"}]}, "networks.0.hwaddr"),
        ({"networks": [{"name": "a,b"}]}, "networks.0.name"),
        ({"networks": [{"name": "eth0"}, {"name": "eth0"}]}, "networks.1.name"),
        ({"networks": [{"name": "eth1"}, {}]}, "networks.1.name"),
        ({"networks": [{}] * 33}, "networks"),
        ({"nameserver": "10.0.0.1,8.8.8"}, "nameserver"),
        ({"nameserver": "10.0.0.1%eth0"}, "nameserver"),
        ({"nameserver": "host"}, "nameserver"),
        ({"nameserver": "fe80::1%$(reboot)"}, "nameserver"),
        ({"nameserver": "1.1.1.1\n8.8.8.8"}, "nameserver"),
        ({"nameserver": " "}, "nameserver"),
        ({"searchdomain": "a..b"}, "searchdomain"),
        ({"searchdomain": "$(x)"}, "searchdomain"),
        ({"searchdomain": "a\nb"}, "searchdomain"),
        ({"startup": ""}, "startup"),
        ({"startup": ","}, "startup"),
        ({"startup": "0"}, "startup"),
        ({"startup": "order=1,up=1;x"}, "startup"),
        ({"ostype": "windows"}, "ostype"),
        ({"ostemplate": ""}, "ostemplate"),
        ({"entrypoint": "a\nb"}, "entrypoint"),
        ({"description": "x" * 7801}, "description"),
        ({"description": "x\nslipway: container=a cluster=b vmid=100"}, "description"),
        ({"description": "a\0b"}, "description"),
        ({"description": "x\n  slipway: container=a cluster=b vmid=100"}, "description"),
        ({"timezone": "A" * 200}, "timezone"),
        ({"timezone": "Etc/UTC"}, "timezone"),
        ({"timezone": "CET"}, "timezone"),
        ({"timezone": "Europe"}, "timezone"),
        ({"timezone": "Europe/Atlantis"}, "timezone"),
        ({"timezone": "Asia/Calcutta"}, "timezone"),
        ({"timezone": "europe/berlin"}, "timezone"),
        ({"timezone": ""}, "timezone"),
        ({"timezone": "Europe/Berlin\n"}, "timezone"),
        ({"ssh_public_keys": "not a key"}, "ssh_public_keys"),
        ({"ssh_public_keys": ""}, "ssh_public_keys"),
        ({"ssh_public_keys": "ssh-ed25519 AAAAnotakeyatallnotakey x"}, "ssh_public_keys"),
        ({"ssh_public_keys": f"ssh-rsa {KEY}"}, "ssh_public_keys"),
        ({"ssh_public_keys": f"ssh-ed25519-cert-v01@openssh.com {KEY}"}, "ssh_public_keys"),
        ({"ssh_public_keys": f"ssh-ed25519 {KEY}AAAA"}, "ssh_public_keys"),
        ({"ssh_public_keys": f"ssh-ed25519 {'A' * 68}\n$(reboot)"}, "ssh_public_keys"),
        ({"env": {"A B": "x"}}, "env.A B"),
        ({"env": {"A=B": "x"}}, "env.A=B"),
        ({"env": {"A": "x\ny"}}, "env.A"),
        ({"env": {"A": "x\0B=y"}}, "env.A"),
        ({"env": {"A": "x" * 20_000}}, "env"),
        ({"tags": [f"tag-{number}" for number in range(2000)]}, "tags"),
        ({"packages": [{"names": ["curl"] * 3000}]}, "packages"),
        ({"bwlimit": -1}, "bwlimit"),
        ({"bwlimit": float("inf")}, "bwlimit"),
        ({"features": {"keyctl": "1,mount=ext4"}}, "features.keyctl"),
        ({"features": {"mount": "nfs,keyctl=1"}}, "features.mount"),
        ({"features": {"mount": True}}, "features.mount"),
        ({"mounts": [{"storage": "local-lvm", "path": "/a"}]}, "mounts.0.size"),
        ({"mounts": [{"storage": "local-lvm", "path": "/a", "size": 0}]}, "mounts.0.size"),
        ({"mounts": [{"storage": "local-lvm", "path": "/a", "size": -1}]}, "mounts.0.size"),
        ({"mounts": [{"storage": "local-lvm", "path": "/./", "size": 1}]}, "mounts.0.path"),
        ({"mounts": [{"storage": "local-lvm", "path": "/a\n", "size": 1}]}, "mounts.0.path"),
        (
            {"mounts": [{"storage": "local-lvm", "path": p, "size": 1} for p in ("/a", "/a/")]},
            "mounts.1.path",
        ),
        ({"mounts": [{"storage": "local-lvm,size=1", "path": "/a", "size": 1}]}, "mounts.0.storage"),
        ({"scripts": ["10-go.sh; reboot"]}, "scripts.0"),
        ({"pool": "a,b"}, "pool"),
        ({"arch": "amd64,x"}, "arch"),
    ],
)
def test_wrong_input_is_named(asked: dict[str, Any], field: str) -> None:
    """Each fault names its own field, and nothing else."""
    assert set(fields(**asked)) == {field}


def test_all_faults_are_reported_together() -> None:
    """Nobody corrects one field at a time."""
    assert fields(memory=0, cores=0, tags=["a;b"]) == ["cores", "memory", "tags.0"]


@pytest.mark.parametrize(
    "asked",
    [
        {"mounts": [{"storage": "/etc", "path": "/x"}]},
        {"devices": ["/dev/kvm"]},
        {"hookscript": "local:snippets/x"},
    ],
)
def test_what_reaches_into_the_host_is_refused(asked: dict[str, Any]) -> None:
    """Bind mounts, devices and hookscripts need the operator's permission, which is named."""
    spec = ContainerSpec.model_validate({"hostname": "web-1", **asked})

    with pytest.raises(RestrictedKey) as refused:
        check(spec, None, NODE)

    assert refused.value.code == "restricted-key.forbidden"
    assert "slipway cluster limits set" in refused.value.message


def test_a_pool_is_refused_only_where_all_are_known() -> None:
    """An empty list is not an unknown one."""
    spec = ContainerSpec(hostname="web-1", pool="team1")

    check(spec, MANIFEST, NODE)
    with pytest.raises(ContainerInvalid, match="team2") as refused:
        check(spec, MANIFEST, NODE.model_copy(update={"knows_pools": True, "pools": ("team2",)}))

    assert [error.field for error in refused.value.errors] == ["pool"]


@pytest.mark.parametrize("kind", ["ssh-ed25519", "ssh-rsa", "ecdsa-sha2-nistp256"])
def test_a_key_is_whole_and_of_the_type_that_is_written(kind: str) -> None:
    """One that was cut off anywhere while it was copied is refused at once, with its line."""
    pair = asyncssh.generate_private_key(kind)
    key = pair.export_public_key().decode().split()[1]
    other = "ssh-rsa" if kind != "ssh-rsa" else "ssh-ed25519"

    assert fields(ssh_public_keys=f"{kind} {key} me") == []
    for wrong in (f"{other} {key}", *(f"{kind} {key[:length]}" for length in range(20, len(key) - 4, 4))):
        with pytest.raises(ContainerInvalid, match="Line 2 is no public key"):
            check(ContainerSpec(hostname="web-1", ssh_public_keys=f"{kind} {key}\n{wrong}"), MANIFEST, NODE)


def test_a_misspelt_time_zone_is_told_with_the_nearest() -> None:
    """The message says what Proxmox takes."""
    with pytest.raises(ContainerInvalid, match=r"a name of zone\.tab.* The nearest name is Europe/Berlin\."):
        check(ContainerSpec(hostname="web-1", timezone="Europe/Berln"), MANIFEST, NODE)
