"""Ordinary mistakes on the command line: one line that says what is wrong, and a status that is not 0."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from slipway.cli.__main__ import main

RESIZE = ["jobs", "run", "resize", "101", "--plan", "--data", "FOLDER", "--set"]


@pytest.fixture
def running(tmp_path: Path) -> Path:
    """A data folder that looks like one on which something runs."""
    (tmp_path / "run").mkdir()
    token = tmp_path / "token"
    token.write_text("t")
    told = f'{{"http": "http://127.0.0.1:1", "bootstrap_token_file": "{token}"}}'
    (tmp_path / "run" / "endpoints.json").write_text(told)
    (tmp_path / "file").touch()
    return tmp_path


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        ([*RESIZE, "memory=abc"], 2, "memory: 'abc' is no number"),
        ([*RESIZE, "memory"], 2, "--set memory: it is NAME=VALUE"),
        (["jobs", "run", "configure", *RESIZE[3:], "onboot=maybe"], 2, "'maybe' is neither yes nor no"),
        (["up", "--port", "99999"], 2, "'99999' is no port: 0 to 65535"),
        (["jobs", "--limit", "0"], 2, "at least 1"),
        (["up", "--data", "FOLDER/file"], 1, "FOLDER/file: File exists"),
        (["containers", "--data", "FOLDER/file"], 1, "Not a directory"),
        (["containers", "--data", "FOLDER/none"], 1, "does not run on FOLDER/none"),
        (["containers", "--data", "FOLDER"], 1, "does not answer"),
    ],
)
def test_wrong_words(
    running: Path, capsys: pytest.CaptureFixture[str], words: list[str], status: int, said: str
) -> None:
    """Each is told in one line, without a traceback."""
    try:
        found = main([word.replace("FOLDER", str(running)) for word in words])
    except SystemExit as error:
        found = int(error.code or 0)

    told = capsys.readouterr().err
    assert found == status
    assert said.replace("FOLDER", str(running)) in told
    assert "Traceback" not in told
    assert told.splitlines()[-1].startswith("slipway")


@pytest.mark.parametrize(
    ("words", "environment", "status", "said"),
    [
        (
            ["containers"],
            {"SLIPWAY_URL": "http://x", "SLIPWAY_TOKEN_FILE": "/none"},
            1,
            "/none: No such file",
        ),
        (["containers"], {"SLIPWAY_URL": "http://x"}, 1, "SLIPWAY_TOKEN_FILE is not"),
        (
            ["containers"],
            {"SLIPWAY_URL": "http://x:port", "SLIPWAY_TOKEN_FILE": "/dev/null"},
            1,
            "is no address",
        ),
        (["topology", "apply"], {"SLIPWAY_HTTP_PORT": "abc"}, 2, "SLIPWAY_HTTP_PORT"),
        (["demo"], {"PORT": "eighty"}, 2, "'eighty' is no port"),
    ],
)
def test_wrong_settings(words: list[str], environment: dict[str, str], status: int, said: str) -> None:
    """The same for what the environment says."""
    command = [sys.executable, "-m", "slipway.cli", *words]
    others = {name: value for name, value in os.environ.items() if not name.startswith("SLIPWAY_")}
    given = {**others, "LAB": "simulated", **environment}

    ended = subprocess.run(command, check=False, capture_output=True, text=True, env=given, timeout=30)

    assert ended.returncode == status, ended.stderr
    assert said in ended.stderr
    assert ended.stderr.count("\n") == 1
