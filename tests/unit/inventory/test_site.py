"""What a new container takes from the site defaults, and what can't work at a site without a way out."""

from datetime import UTC, datetime
from typing import Any

import pytest

from slipway.contracts.cluster_facts import BridgeFact, NodeFacts, StorageFact
from slipway.contracts.cluster_settings import NO_DEFAULTS, SiteDefaults
from slipway.contracts.container_specs import ContainerSpec, GuestSettings, NetworkSpec, PackageSpec
from slipway.inventory.containers import site

SITE = SiteDefaults(
    storage="fast",
    bridge="vmbr1",
    vlan=7,
    tags=("site",),
    nameserver="10.0.0.1",
    timezone="Europe/Berlin",
    http_proxy="http://proxy:3128",
    apt_mirror="http://mirror",
)
NODE = NodeFacts(
    node="pve1",
    is_online=True,
    storages=(StorageFact(name="local-lvm", type="lvmthin", content=("rootdir",)),),
    bridges=(BridgeFact(name="vmbr0"),),
    observed_at=datetime(2026, 1, 1, tzinfo=UTC),
)


def spec_of(**requested: Any) -> ContainerSpec:
    """Return a request."""
    return ContainerSpec.model_validate({"hostname": "web-1", **requested})


def test_a_request_that_says_nothing_takes_all() -> None:
    """Each value is named with its field."""
    spec, taken = site.applied(spec_of(), SITE)

    assert (spec.storage, spec.nameserver, spec.timezone) == ("fast", "10.0.0.1", "Europe/Berlin")
    assert spec.networks == (NetworkSpec(bridge="vmbr1", tag=7),)
    assert spec.guest == GuestSettings(http_proxy="http://proxy:3128", apt_mirror="http://mirror")
    assert taken == {
        "storage": "fast",
        "nameserver": "10.0.0.1",
        "timezone": "Europe/Berlin",
        "tags": "site",
        "networks.0.bridge": "vmbr1",
        "networks.0.tag": "7",
        "guest.http_proxy": "http://proxy:3128",
        "guest.apt_mirror": "http://mirror",
    }


def test_what_is_requested_wins() -> None:
    """An empty text is none of it; another bridge is not in the site's VLAN, and tags add up."""
    requested = {
        "storage": "local-lvm",
        "nameserver": "10.0.0.2",
        "timezone": "host",
        "tags": ("web",),
        "networks": ({"bridge": "vmbr0"}, {"tag": 0}),
        "guest": {"http_proxy": "", "apt_mirror": "http://other/"},
    }

    spec, taken = site.applied(spec_of(**requested), SITE)

    assert (spec.storage, spec.nameserver, spec.timezone) == ("local-lvm", "10.0.0.2", "host")
    assert spec.networks == (NetworkSpec(bridge="vmbr0"), NetworkSpec(bridge="vmbr1", tag=0))
    assert spec.guest == GuestSettings(apt_mirror="http://other")
    assert (spec.tags, taken) == (("site", "web"), {"tags": "site", "networks.1.bridge": "vmbr1"})


def test_an_empty_text_is_none_of_the_sites() -> None:
    """A container can have no key, and the node's own DNS; without site defaults it is the same."""
    requested = spec_of(ssh_public_keys="", nameserver="", searchdomain="")
    of_site = SiteDefaults(ssh_public_keys="ssh-ed25519 AAAA", nameserver="10.0.0.1", searchdomain="lan")

    assert site.applied(requested, of_site) == (spec_of(), {})
    assert site.applied(requested, NO_DEFAULTS) == (spec_of(), {})


def test_without_defaults_a_request_stays_as_it_is() -> None:
    """No field is filled that nobody has said anything about."""
    assert site.applied(spec_of(), NO_DEFAULTS) == (spec_of(), {})


def test_defaults_that_the_node_does_not_have_are_said_to_be_those() -> None:
    """The request did not name them."""
    with pytest.raises(site.SiteDefaultUnusable, match="site defaults of cluster home") as refused:
        site.refuse_unusable({"storage": "fast", "networks.0.bridge": "vmbr1", "tags": "x"}, NODE, "home")

    assert [each.field for each in refused.value.errors] == ["storage", "networks.0.bridge"]


@pytest.mark.parametrize(
    ("guest", "fields"),
    [
        ({}, ["ostemplate", "packages.0", "packages.1"]),
        ({"apt_mirror": "http://m"}, ["ostemplate", "packages.1"]),
        ({"http_proxy": "http://p:1"}, ["ostemplate"]),
    ],
)
def test_what_needs_a_way_out_is_refused_beforehand(guest: dict[str, str], fields: list[str]) -> None:
    """The download of an archive, and each package manager without mirror or proxy."""
    packages = (PackageSpec(manager="apt", names=("a",)), PackageSpec(manager="npm", names=("b",)))
    blocked = GuestSettings.model_validate({"is_outgoing_blocked": True, **guest})
    spec = spec_of(ostemplate="debian-12-standard_1_amd64.tar.zst", packages=packages, guest=blocked)

    with pytest.raises(site.OutgoingBlocked) as refused:
        site.refuse_outside(spec, None)

    assert [each.field for each in refused.value.errors] == fields
    site.refuse_outside(spec_of(ostemplate="local:vztmpl/d.tar.zst", guest=blocked), None)
