"""What a person answers about a cluster that is added, and what is read where nobody answers."""

import subprocess
import sys
from pathlib import Path

import pytest

from slipway.cli.cluster_questions import endpoint_of, node_of, port_of, read_key
from slipway.cli.errors import WrongInput
from slipway.cli.questions import ask_until


def test_an_address_is_completed() -> None:
    """The scheme and the port may be left out."""
    assert endpoint_of("pve1") == ("https://pve1", "pve1", 8006)
    assert endpoint_of("https://[fd00::1]:443") == ("https://[fd00::1]:443", "fd00::1", 443)
    assert port_of("22") == 22


@pytest.mark.parametrize(
    ("address", "node"),
    [
        ("pve1", ("pve1", None)),
        ("pve1:8006", ("pve1", 8006)),
        ("https://pve1", ("pve1", None)),
        ("https://pve1:443/", ("pve1", 443)),
        ("fd00::1", ("fd00::1", None)),
        ("[fd00::1]:8006", ("fd00::1", 8006)),
    ],
)
def test_a_node_may_be_written_as_the_address_of_its_page(address: str, node: tuple[str, int | None]) -> None:
    """Which people copy from the browser; the port there is the API's."""
    assert node_of(address) == node


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


def test_a_wrong_answer_is_asked_for_again_and_not_shown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It may be a password at the question for a file; the answers before it stay."""
    (tmp_path / "public").write_text("ssh-ed25519 AAAA")
    (tmp_path / "key").write_text("-----BEGIN OPENSSH PRIVATE KEY-----\n")
    answers = iter(["hunter2", str(tmp_path / "public"), str(tmp_path / "key"), "no more"])

    key = ask_until(lambda: next(answers), read_key)

    said = capsys.readouterr().err
    assert key.startswith("-----BEGIN")
    assert "There is no such file" in said
    assert "without .pub" in said
    assert "hunter2" not in said


def test_wrong_answers_have_an_end() -> None:
    """Where nobody types any more, the question ends with what is wrong."""
    with pytest.raises(WrongInput, match="no such file"):
        ask_until(lambda: "/none", read_key)


CASES = {
    "<&-": "There is no terminal to ask in",
    "- <&-": "Standard input is empty: nothing came in",
    "EMPTY": "The lines above say why",
    "NONE": "name and endpoint are missing",
    "FILE": "is not what the token script prints",
}


@pytest.mark.parametrize("words", CASES)
def test_what_can_not_be_read_is_said_in_a_line(words: str, tmp_path: Path) -> None:
    """Streams that are closed, and a file that is no text, end with a message, not with a traceback."""
    (tmp_path / "FILE").write_bytes(b"\xff\x00{")
    (tmp_path / "EMPTY").touch()
    (tmp_path / "NONE").write_text("{}")
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


@pytest.mark.parametrize("file", ["-", "FILE"])
def test_what_the_script_made_is_named_where_it_is_not_taken(file: str, tmp_path: Path) -> None:
    """With the lines that try again and that remove it; its secret is not shown."""
    printed = '{"name": "home", "endpoint": "https://pve1", "tier": "operate", "token_secret": "s3cret",\n'
    (tmp_path / "FILE").write_text(f'{printed}"token_id": "slipway-ab12@pve!main"}}')
    (tmp_path / "token").write_text("slw_secret")

    ended = subprocess.run(
        ["sh", "-c", f"exec {sys.executable} -m slipway.cli cluster add {file} < FILE"],
        check=False,
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={"SLIPWAY_URL": "http://127.0.0.1:1", "SLIPWAY_TOKEN_FILE": "token"},
        timeout=120,
    )

    script = "slipway cluster script --id ab12 --name home --tier operate | ssh root@NODE sh -s | "
    again = f"{script if file == '-' else ''}slipway cluster add {file} --endpoint"
    assert ended.returncode == 1
    assert all(each in ended.stderr for each in ("does not answer", "id ab12 are on the node", again))
    assert "slipway cluster script --remove ab12 | ssh root@NODE sh -s" in ended.stderr
    assert "s3cret" not in ended.stderr
