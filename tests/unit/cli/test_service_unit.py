"""The unit that `slipway service install` writes, and what it refuses."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from slipway.cli.errors import CommandFailed, WrongInput
from slipway.standalone.systemd.service import install_steps, require_options_of_up, require_reachable
from slipway.standalone.systemd.unit import UNIT, Service, unit_text


def lines(service: Service) -> list[str]:
    """The lines of its unit."""
    return unit_text(service).splitlines()


@pytest.mark.parametrize(
    ("port", "options", "capability"),
    [
        (7880, (), ""),
        (443, (), "CAP_NET_BIND_SERVICE"),
        (1023, (), "CAP_NET_BIND_SERVICE"),
        (7880, ("--acme=slipway.example.org",), "CAP_NET_BIND_SERVICE"),
    ],
)
def test_has_no_right_but_for_a_low_port(port: int, options: tuple[str, ...], capability: str) -> None:
    """Only root may listen below 1024, where a CA comes to port 80: it gets that one right, no other ever."""
    unit = lines(Service(program=Path("/opt/slipway/bin/slipway"), port=port, options=options))

    assert f"CapabilityBoundingSet={capability}" in unit
    assert f"AmbientCapabilities={capability}" in unit
    assert {"User=slipway", "NoNewPrivileges=yes", "ProtectSystem=strict", "ProtectHome=yes"} <= set(unit)


def test_words_of_the_command_are_quoted() -> None:
    """What systemd would expand or split stays one word as it is."""
    options = ('"$HOME', "it's", "", ";")
    unit = lines(Service(program=Path("/opt/a b%i/slipway"), port=7880, options=options))

    command = 'ExecStart="/opt/a b%%i/slipway" up --data /var/lib/slipway/data --port 7880'
    words = (r'"\"$$HOME"', '"it\'s"', '""', '";"')
    assert " ".join((command, *words)) in unit


def test_further_options_are_those_of_up() -> None:
    """They stand in the unit; what `up` does not take, or the service has itself, is refused at once."""
    service = Service(program=Path("/s"), port=7880, options=("--verbose",))
    require_options_of_up(service.options)

    assert "ExecStart=/s up --data /var/lib/slipway/data --port 7880 --verbose" in lines(service)
    with pytest.raises(typer.TyperException, match="No such option"):
        require_options_of_up(("--verbos",))
    with pytest.raises(WrongInput, match="--port: the service has its own"):
        require_options_of_up(("--port=1",))
    with pytest.raises(WrongInput, match=r"--tls-key here\.pem: the service runs elsewhere"):
        require_options_of_up(("--tls-certificate", "/there.pem", "--tls-key", "here.pem"))


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="there is no systemd here")
def test_systemd_finds_nothing_wrong_with_it(tmp_path: Path) -> None:
    """`systemd-analyze verify` knows every setting, and its value."""
    file = tmp_path / UNIT.name
    file.write_text(unit_text(Service(program=Path(sys.executable), port=7880)))

    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(file)], capture_output=True, text=True, check=False
    )

    assert [line for line in done.stderr.splitlines() if UNIT.name in line] == []


def test_the_plan_makes_a_user_only_once() -> None:
    """A user who is there already is not made again."""
    service = Service(program=Path("/opt/slipway/bin/slipway"), port=7880)

    first = [step.text.split()[0] for step in install_steps(service, is_user_there=False)]
    again = [step.text.split()[0] for step in install_steps(service, is_user_there=True)]

    assert first == ["useradd", "write", "systemctl", "systemctl", "systemctl"]
    assert again == first[1:]


def test_a_program_that_the_user_cannot_reach_is_refused(tmp_path: Path) -> None:
    """A folder that is closed to others: the service would end at once, and say nothing helpful."""
    program = tmp_path / "closed" / "slipway"
    program.parent.mkdir(mode=0o700)
    program.touch(mode=0o755)

    with pytest.raises(CommandFailed, match="whole machine: `PIPX_HOME=/opt/pipx"):
        require_reachable(program)


@pytest.mark.parametrize("name", ["it's", 'a"b', "a\\b", "a$b", "a\nb"])
def test_a_name_that_systemd_refuses_is_refused_before(name: str) -> None:
    """Otherwise a unit that can't be loaded would be left."""
    with pytest.raises(CommandFailed, match="systemd runs no program with such a name"):
        require_reachable(Path("/opt", name, "slipway"))
