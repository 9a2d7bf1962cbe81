"""What a template takes over from the host's apt."""

import pytest

from slipway.lab.guests.lxc.template import host_options, host_sources

ONE_LINE = (
    "deb [signed-by=/k.gpg] http://mirror.example/debian trixie main\n"
    "deb http://mirror.example/debian-security trixie-security main\n"
)
DEB822 = "Types: deb\nURIs: http://mirror.example/debian\nSuites: trixie trixie-updates\nComponents: main\n"


@pytest.mark.parametrize("text", [ONE_LINE, DEB822])
def test_the_hosts_sources_speak_of_the_templates_suite(text: str) -> None:
    """Mirror and options stay, the release is the template's."""
    assert host_sources([text]) == [text.replace("trixie", "bookworm")]


def test_sources_of_another_distribution_are_not_taken() -> None:
    """Nor empty files; mmdebstrap then takes Debian's own."""
    assert host_sources(["deb http://mirror.example/ubuntu noble main\n", "", "# nothing\n"]) == []


def test_only_options_that_reach_a_mirror_are_taken() -> None:
    """Proxy and date checks, not hooks of the host's."""
    dump = (
        'Acquire::http::Proxy "http://proxy.example:3142";\n'
        'Acquire::Check-Valid-Until "false";\n'
        'DPkg::Post-Invoke:: "/usr/bin/something";\n'
        'APT::Architecture "amd64";\n'
    )

    assert host_options(dump).splitlines() == [
        'Acquire::http::Proxy "http://proxy.example:3142";',
        'Acquire::Check-Valid-Until "false";',
    ]
