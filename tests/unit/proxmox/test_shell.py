"""Command lines, lines of output, and the record of requests."""

import json
import shlex
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slipway.proxmox import record
from slipway.proxmox.lines import LONGEST_LINE_BYTES, LineCutter, WrittenLine, text_of
from slipway.proxmox.shell import command_line, exports, guest_script, sh, statements

ARGUMENTS = st.lists(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])), min_size=1)


@given(ARGUMENTS)
def test_a_shell_reads_back_the_arguments(arguments: list[str]) -> None:
    """Whatever an argument holds, it stays one argument."""
    assert shlex.split(command_line(arguments)) == arguments


@pytest.mark.parametrize("argv", [[], ["a\0b"], ["x" * 130_000]])
def test_what_is_no_command_is_refused(argv: list[str]) -> None:
    """No program, a NUL, or more than the host's shell takes."""
    with pytest.raises(ValueError, match="command"):
        command_line(argv)


def test_a_script_gets_its_arguments() -> None:
    """The first argument is `$1`."""
    line = command_line(sh('printf "%s|" "$@"', "a b", "it's", "new\nline"))

    assert subprocess.check_output(["sh", "-c", line], text=True) == "a b|it's|new\nline|"


def test_exports_survive_a_shell() -> None:
    """Values with quotes and newlines are the script's own."""
    text = exports({"A": "it's\n$HOME `x`"}).decode() + 'printf %s "$A"'

    assert subprocess.check_output(["sh", "-c", text], text=True) == "it's\n$HOME `x`"


def test_a_variable_needs_a_name() -> None:
    """A name that is code is refused."""
    with pytest.raises(ValueError, match="name of a variable"):
        exports({"A=1; rm": "x"})


def test_statements_are_one_call_a_line() -> None:
    """Each call is quoted on its own."""
    assert statements([("step", "a b"), ("step", "")]) == b"step 'a b'\nstep ''\n"


@pytest.mark.parametrize("name", ["guard", "state", "begin", "wrapper", "look", "follow", "cancel", "deploy"])
def test_a_guest_script_is_posix_shell(name: str) -> None:
    """Debian's sh reads it without complaint."""
    checked = subprocess.run(
        ["sh", "-n"], input=guest_script(name), text=True, check=False, stderr=subprocess.PIPE
    )

    assert (checked.returncode, checked.stderr) == (0, "")


@given(st.lists(st.binary(max_size=40)))
def test_lines_are_cut_wherever_chunks_end(chunks: list[bytes]) -> None:
    """No byte is lost, and each line but the last ends with its newline."""
    cutter = LineCutter()

    lines = [line for chunk in chunks for line in cutter.feed(chunk)]
    rest = cutter.rest()

    assert b"".join(lines) + rest == b"".join(chunks)
    assert all(line.count(b"\n") == 1 and line.endswith(b"\n") for line in lines)
    assert b"\n" not in rest


def test_a_line_without_end_is_cut() -> None:
    """Memory stays bounded."""
    cutter = LineCutter()
    chunk = b"x" * (LONGEST_LINE_BYTES // 2 + 1)

    assert cutter.feed(chunk) == []
    assert cutter.feed(chunk) == [chunk + chunk]


def test_noise_becomes_text() -> None:
    """Bytes that are no UTF-8, and NUL, are replaced."""
    assert text_of(b"\xff\0 ok \xe2\x9c\x93\n") == "\ufffd\ufffd ok ✓"


@pytest.mark.parametrize(
    ("line", "text"),
    [
        (b"10%\r50%\r100%\n", "100%"),
        (b"\r50%\r\n", "50%"),
        (b"dos\r\n", "dos"),
        (b"dos\r\r\n", "dos"),
        (b"\r\n", ""),
        (b"1%\x1b[1G2%\x1b[G3%\x1b[0G4%\n", "4%"),
        (b"0/16\b\b\b\b15/16\b\b\b\b\bdone\n", "done"),
        (b"spin |\b/\b-\b\n", "spin -"),
        (b"\b\b\n", ""),
        (b"1 %\x1b[2K\x1b[1G\n", "1 %\x1b[2K"),
        (b"1 %\x1b[3D2 %\x1b[1000D3 %\x1b[D\x1b[Dof\n", "3of"),
        (b"caf\xc3\xa9 \xe2\x9c\x93\b\b\be!\n", "cafe!"),
        (b"a\x1b[5Gb\x1b[\n", "a\x1b[5Gb\x1b["),
    ],
)
def test_text_of_progress_is_its_last_state(line: bytes, text: str) -> None:
    """What was written over is no part of a line."""
    assert text_of(line) == text


@given(st.lists(st.sampled_from([*"ab1\u00e9\r\b\x1b[GD", "\x1b[2K", "\x1b[1G", "\x1b[3D"])), st.data())
def test_a_line_is_the_same_wherever_it_is_cut(pieces: list[str], data: st.DataObject) -> None:
    """Also within a character or an escape sequence."""
    line = "".join(pieces).encode()
    cut = data.draw(st.integers(0, len(line)))
    written = WrittenLine()

    written.write(line[:cut])
    written.write(line[cut:])

    assert written.text() == text_of(line)


@pytest.mark.parametrize("move", [b"\r", b"\x1b[2K\x1b[1G", b"\x1b[1000D", b"\b" * 6])
def test_progress_takes_no_memory(move: bytes) -> None:
    """Only what is seen is stored, however long it goes on."""
    written = WrittenLine()
    for done in range(20_000):
        written.write(b"%5d%%" % done + move)

    assert (written.text().removesuffix("\x1b[2K"), len(written) < 16) == ("19999%", True)


def test_a_record_masks_secrets(tmp_path: Path) -> None:
    """Names show it, and so does the beginning of a private key."""
    file = tmp_path / "requests"
    params = {
        "vmid": 100,
        "password": "geheim",
        "token-secret": "geheim",
        "note": "-----BEGIN OPENSSH PRIVATE KEY-----",
        "ssh-public-keys": "ssh-ed25519 AAAA",
    }

    record.append(file, method="POST", path="/nodes/n/lxc", params=params, status=200, ms=12.34)

    entry = json.loads(file.read_text())
    assert entry["params"] == {
        "vmid": 100,
        "password": record.MASK,
        "token-secret": record.MASK,
        "note": record.MASK,
        "ssh-public-keys": "ssh-ed25519 AAAA",
    }
    assert (entry["method"], entry["path"], entry["status"], entry["ms"]) == (
        "POST",
        "/nodes/n/lxc",
        200,
        12.3,
    )
    assert file.stat().st_mode & 0o777 == 0o600
