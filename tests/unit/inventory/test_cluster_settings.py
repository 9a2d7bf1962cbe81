"""What an admin may set for a cluster, reported with the field's name."""

from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from slipway.contracts.cluster_facts import BridgeFact, NodeFacts, StorageFact
from slipway.contracts.cluster_settings import ClusterLimits, SiteDefaults
from slipway.inventory.clusters.settings_rules import ClusterSettingsInvalid, normal_defaults, normal_limits

NODE = NodeFacts(
    node="pve1",
    is_online=True,
    storages=(
        StorageFact(name="local-lvm", type="lvmthin", content=("rootdir",)),
        StorageFact(name="nfs", type="nfs", content=("backup",)),
    ),
    bridges=(BridgeFact(name="vmbr0"),),
    observed_at=datetime(2026, 1, 1, tzinfo=UTC),
)


def test_mount_paths_are_stored_in_one_way_and_once() -> None:
    """However many slashes they are written with."""
    limits = ClusterLimits(restricted_keys=True, mount_paths=("/srv/media/", "//srv//media", "/data/./www"))

    assert normal_limits(limits).mount_paths == ("/srv/media", "/data/www")


@pytest.mark.parametrize("path", ["srv", "", "/srv/../etc", "/srv/a,mp=b", "/srv/\n", "/ü"])
def test_a_mount_path_that_could_mean_another_place_is_refused(path: str) -> None:
    """It is never guessed at."""
    limits = ClusterLimits(restricted_keys=True, mount_paths=("/srv", path))

    with pytest.raises(ClusterSettingsInvalid) as refused:
        normal_limits(limits)

    assert [each.field for each in refused.value.errors] == ["mount_paths.1"]


def test_mount_paths_alone_are_refused() -> None:
    """They would allow nothing, which nobody means."""
    with pytest.raises(ClusterSettingsInvalid, match="restricted_keys is off"):
        normal_limits(ClusterLimits(mount_paths=("/srv",)))


def certificate(name: str = "Site CA") -> str:
    """Return a self-signed certificate, PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    builder = x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number())
    begins = datetime(2026, 1, 1, tzinfo=UTC)
    dated = builder.not_valid_before(begins).not_valid_after(begins + timedelta(days=9))
    return dated.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM).decode()


def test_defaults_are_stored_in_one_way() -> None:
    """Empty ones are none, URLs end without a slash, and of certificates nothing else is stored."""
    pem = certificate()
    site = SiteDefaults(
        storage="local-lvm",
        bridge="vmbr0",
        vlan=7,
        nameserver="",
        http_proxy="http://Proxy.LAN:3128/",
        no_proxy=" .lan , nas,.lan",
        apk_mirror="https://[fd00::1]/alpine/",
        ca=f"Site CA, of the admin\n{pem}",
    )

    stored = normal_defaults(site, [NODE])

    assert stored == SiteDefaults(
        storage="local-lvm",
        bridge="vmbr0",
        vlan=7,
        http_proxy="http://proxy.lan:3128",
        no_proxy=".lan,nas",
        apk_mirror="https://[fd00::1]/alpine",
        ca=pem,
    )


@pytest.mark.parametrize(
    ("field", "value", "says"),
    [
        ("storage", "nfs", "local-lvm"),
        ("bridge", "vmbr9", "vmbr0"),
        ("vlan", 4095, "4094"),
        ("tags", ("a;b",), "not a tag"),
        ("ssh_public_keys", "ssh-rsa AAAA", "no public key"),
        ("nameserver", "dns.lan", "not an IP address"),
        ("searchdomain", "a..b", "not a domain name"),
        ("timezone", "Europe/Berln", "Europe/Berlin"),
        ("http_proxy", "socks5://proxy:1", "http://"),
        ("http_proxy", "http://proxy:70000", "http://"),
        ("http_proxy", "http://proxy/x", "no path"),
        ("http_proxy", "http://999.0.0.1:1", "a host"),
        ("apt_mirror", "http://[::::]", "a host"),
        ("apk_mirror", "http://[10.0.0.1]/alpine", "a host"),
        ("apk_mirror", "http://a..b/alpine", "a host"),
        ("no_proxy", "a b", "no name"),
        ("apt_mirror", "http://m/../x", "http:// or https://"),
        ("apt_mirror", "http://m/$(id)", "http:// or https://"),
        ("apt_cache", "https://cache:3142", "http://"),
        ("apk_mirror", "ftp://m/alpine", "http:// or https://"),
        ("ca", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "no PEM certificate"),
        ("ca", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", "private key"),
    ],
)
def test_a_wrong_default_is_named(field: str, value: object, says: str) -> None:
    """With what would be right; facts of the cluster count for storage and bridge."""
    with pytest.raises(ClusterSettingsInvalid) as refused:
        normal_defaults(SiteDefaults.model_validate({field: value}), [NODE])

    (error,) = refused.value.errors
    assert error.field.startswith(field)
    assert says in error.message


@pytest.mark.parametrize("url", ["http://me:hunter2@proxy:3128", "me:hunter2@proxy:3128"])
def test_a_password_in_a_url_is_refused_and_never_repeated(url: str) -> None:
    """Every guest could read it."""
    with pytest.raises(ClusterSettingsInvalid, match="could read") as refused:
        normal_defaults(SiteDefaults(http_proxy=url), [NODE])

    assert "hunter2" not in refused.value.message
