"""Whose container it is, as its notes say it."""

import pytest

from slipway.contracts.container_specs import ContainerSpec, NetworkSpec
from slipway.contracts.job_kinds import ConfigureArgs
from slipway.contracts.jobs import Target
from slipway.provisioner.host import marks
from slipway.provisioner.steps import configure
from slipway.proxmox.answers import ContainerConfig

TARGET = Target(container="c1", cluster="k1", cluster_name="home", node="pve1", vmid=101, hostname="web")
MAC = "BC:24:11:00:00:01"


def config(description: str, *, mac: str | None = MAC) -> ContainerConfig:
    """A container's config with these notes, and one network device if there is a MAC."""
    device = {"net0": f"name=eth0,bridge=vmbr0,hwaddr={mac},ip=dhcp,type=veth"} if mac else {}
    return ContainerConfig.model_validate({"digest": "d", "description": description, **device})


@pytest.mark.parametrize(
    ("text", "is_ours"),
    [
        ("slipway: container=c1 cluster=k1 vmid=101 mac=BC:24:11:00:00:01 job=j1\n", True),
        ("slipway: container=c1 cluster=k1 vmid=101", True),
        ("mine\n\nslipway: container=c1 cluster=k1 vmid=101 mac=bc:24:11:00:00:01 job=j1", True),
        ("see slipway: container=a cluster=b vmid=1\nslipway: container=c1 cluster=k1 vmid=101 job=j", True),
        ("see slipway: container=c1 cluster=k1 vmid=101 job=j1", False),
        ("slipway: container=c1 cluster=k1 vmid=102 mac=BC:24:11:00:00:01 job=j1", False),
        ("slipway: container=c2 cluster=k1 vmid=101 mac=BC:24:11:00:00:01 job=j1", False),
        ("slipway: container=c1 cluster=k2 vmid=101 mac=BC:24:11:00:00:01 job=j1", False),
        ("slipway: container=c1 cluster=k1 vmid=101 mac=BC:24:11:00:00:02 job=j1", False),
        ("", False),
    ],
)
def test_counts_only_where_it_matches(text: str, *, is_ours: bool) -> None:
    """A mark counts where container, cluster, VMID and MAC are those of the container it stands on."""
    assert marks.is_marked(config(text), TARGET) is is_ours


def test_mac_counts_only_where_there_is_one() -> None:
    """A container without network devices has no MAC that could differ."""
    text = "slipway: container=c1 cluster=k1 vmid=101 mac=BC:24:11:00:00:02 job=j1"

    assert marks.is_marked(config(text, mac=None), TARGET)


@pytest.mark.parametrize("hwaddr", [None, "bc:24:11:12:34:56"])
def test_made_one_is_marked(hwaddr: str | None) -> None:
    """What a creation writes counts on what the creation makes, also with a MAC of the user's."""
    network = NetworkSpec(name="eth0", bridge="vmbr0", ip="dhcp", hwaddr=hwaddr)
    spec = ContainerSpec(hostname="web", description="my site", networks=(network,))
    mac = hwaddr or marks.hwaddr("c1", 0)

    assert marks.is_marked(config(marks.made(spec, TARGET, "j1"), mac=mac), TARGET)


def test_copy_is_stamped_with_its_own_mac() -> None:
    """The mark of a copy has no MAC until it is stamped; the user's words stay."""
    copied = config(marks.notes("my site", TARGET, "j1", mac=None))

    stamped = marks.stamped(copied, TARGET, "j2")

    assert marks.is_marked(copied, TARGET)
    assert stamped == f"my site\n\nslipway: container=c1 cluster=k1 vmid=101 mac={MAC} job=j2"


def test_hand_written_line_is_enough() -> None:
    """What an operator is asked to write makes it ours again."""
    assert marks.is_marked(config(f"mine\n{marks.line(TARGET)}\n"), TARGET)


@pytest.mark.parametrize(
    "networks",
    [
        (),
        (NetworkSpec(name="eth0", bridge="vmbr0", ip="dhcp", hwaddr="BC:24:11:00:00:09"),),
    ],
)
def test_other_devices_make_another_mark(networks: tuple[NetworkSpec, ...]) -> None:
    """When the device that the mark names goes or changes, the mark is written anew in the same change."""
    before = config(f"my site\n\nslipway: container=c1 cluster=k1 vmid=101 mac={MAC} job=j1")
    args = ConfigureArgs(networks=networks)

    changes = configure.changed(args, before, TARGET, "j2")

    after = {"digest": "d", **{k: v for k, v in changes.items() if k != "delete"}}
    after.setdefault("description", before.description)
    assert "delete" in changes or "net0" in changes
    assert marks.is_marked(ContainerConfig.model_validate(after), TARGET)
    assert str(after["description"]).startswith("my site")


def test_a_list_is_sent_with_blanks_whatever_separates_it() -> None:
    """And it is no change if the config has the same items."""
    before = config("").model_copy(update={"nameserver": "1.1.1.1 8.8.8.8"})
    args = ConfigureArgs(nameserver=" 1.1.1.1,\t8.8.8.8;", searchdomain="a.example; b.example")

    changes = configure.changed(args, before, TARGET, "j2")

    assert changes == {"searchdomain": "a.example b.example"}


def test_an_empty_list_is_the_nodes_again() -> None:
    """Proxmox has a setting deleted for it; there is nothing to delete of what is not set."""
    before = config("").model_copy(update={"nameserver": "1.1.1.1"})
    args = ConfigureArgs(nameserver="", searchdomain=" ,")

    assert configure.changed(args, before, TARGET, "j2") == {"delete": "nameserver"}


def test_what_is_deleted_goes_in_one_list() -> None:
    """Settings and devices."""
    before = config("").model_copy(update={"nameserver": "1.1.1.1"})

    changes = configure.changed(ConfigureArgs(nameserver="", networks=()), before, TARGET, "j2")

    assert changes["delete"] == "nameserver,net0"


def test_lines_that_end_as_on_windows_end_with_a_line_feed() -> None:
    """A web form sends them so."""
    assert marks.with_mark("a\r\nb\r\n", "") == "a\nb"
    assert marks.notes("a\r\nb", TARGET, "j1", mac=None).startswith("a\nb\n\nslipway: ")


def test_same_devices_leave_the_notes_alone() -> None:
    """An address that changes is no reason to write the notes."""
    before = config(f"slipway: container=c1 cluster=k1 vmid=101 mac={MAC} job=j1")
    args = ConfigureArgs(networks=(NetworkSpec(name="eth0", bridge="vmbr0", ip="10.0.0.9/24"),))

    changes = configure.changed(args, before, TARGET, "j2")

    assert set(changes) == {"net0"}
