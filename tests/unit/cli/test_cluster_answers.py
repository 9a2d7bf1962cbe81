"""What a person answers about a cluster that is added, and what is read where nobody answers."""

import subprocess
import sys
from pathlib import Path

import pytest

from slipway.cli.cluster_questions import endpoint_of, port_of
from slipway.cli.errors import WrongInput


def test_an_address_is_completed() -> None:
    """The scheme and the port may be left out."""
    assert endpoint_of("pve1") == ("https://pve1", "pve1", 8006)
    assert endpoint_of("https://[fd00::1]:443") == ("https://[fd00::1]:443", "fd00::1", 443)
    assert port_of("22") == 22


@pytest.mark.parametrize("address", ["", "https://", "pve1:99999", "pve1:ssh", "https://[fd00::1"])
def test_what_is_no_address_is_refused(address: str) -> None:
    """With what one looks like."""
    with pytest.raises(WrongInput, match="like https://pve1:8006"):
        endpoint_of(address)


@pytest.mark.parametrize("port", ["", "ssh", "0", "-1", "65536", "2²", "9" * 5000])
def test_what_is_no_port_is_refused(port: str) -> None:
    """With what one looks like."""
    with pytest.raises(WrongInput, match="1 to 65535"):
        port_of(port)


CASES = {
    "<&-": "There is no terminal to ask in",
    "- <&-": "Standard input is not what the token script prints",
    "FILE": "is not what the token script prints",
}


@pytest.mark.parametrize("words", CASES)
def test_what_can_not_be_read_is_said_in_a_line(words: str, tmp_path: Path) -> None:
    """Streams that are closed, and a file that is no text, end with a message, not with a traceback."""
    (tmp_path / "FILE").write_bytes(b"\xff\x00{")
    line = f"exec {sys.executable} -m slipway.cli cluster add {words}"
    (tmp_path / "token").write_text("slw_secret")
    environment = {"SLIPWAY_URL": "http://127.0.0.1:1", "SLIPWAY_TOKEN_FILE": "token"}

    ended = subprocess.run(
        ["sh", "-c", line],
        check=False,
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=environment,
        timeout=120,
    )

    assert ended.returncode == 2
    assert CASES[words] in ended.stderr
    assert "Traceback" not in ended.stderr
