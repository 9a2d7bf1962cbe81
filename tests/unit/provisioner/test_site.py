"""The site's settings as files and variables of a guest: nothing in a value can end it."""

import pytest

from slipway.contracts.container_specs import GuestSettings
from slipway.provisioner.host.site import environment, files, is_set


def contents(guest: GuestSettings) -> dict[str, str]:
    """Return the files by their names."""
    return {each.path.rpartition("site/")[2]: each.content.decode() for each in files(guest, b"#\n")}


def test_a_cache_serves_apt_alone() -> None:
    """Its HTTPS sources are reached directly, and no other program uses it."""
    guest = GuestSettings(apt_cache="http://cache:3142")

    assert contents(guest)["apt.conf"] == (
        'Acquire::http::Proxy "http://cache:3142";\nAcquire::https::Proxy "DIRECT";\n'
    )
    assert environment(guest) == {}


def test_each_certificate_is_a_file_of_its_own() -> None:
    """Debian's update-ca-certificates takes one from a file."""
    one = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"

    written = contents(GuestSettings(ca=one * 2))

    assert [name for name in written if name.startswith("ca/")] == ["ca/1.crt", "ca/2.crt"]
    assert written["ca/2.crt"] == one


@pytest.mark.parametrize("url", ['http://a";x "', "http://a\nb", "http://a$(b)"])
def test_a_value_that_would_be_an_option_of_its_own_is_a_bug(url: str) -> None:
    """Whatever let it through: apt never reads it."""
    with pytest.raises(ValueError, match="not an option of apt"):
        files(GuestSettings(http_proxy=url), b"")


def test_variables_are_quoted() -> None:
    """A shell reads the profile."""
    written = contents(GuestSettings(http_proxy="http://a:1", no_proxy="*.lan,$(x)"))

    assert "export 'no_proxy=localhost,127.0.0.1,::1,*.lan,$(x)'" in written["profile.sh"]


def test_a_blocked_site_alone_sets_nothing_up() -> None:
    """It is known beforehand what can't work; the guest has nothing of it."""
    assert not is_set(GuestSettings(is_outgoing_blocked=True))
    assert is_set(GuestSettings(apk_mirror="http://m/alpine"))
