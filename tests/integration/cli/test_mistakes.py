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
    content = f'{{"http": "http://127.0.0.1:1", "bootstrap_token_file": "{token}"}}'
    (tmp_path / "run" / "endpoints.json").write_text(content)
    (tmp_path / "file").touch()
    return tmp_path


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        ([*RESIZE, "memory=abc"], 2, "memory: 'abc' is not a number"),
        ([*RESIZE, "memory"], 2, "--set memory: it must be NAME=VALUE"),
        (["jobs", "run", "configure", *RESIZE[3:], "onboot=maybe"], 2, "'maybe' must be one of yes, no"),
        (["up", "--data", ""], 2, "the data folder has no name: give one, or leave the option out"),
        (["demo-clean", "--data", " "], 2, "the data folder has no name"),
        (["up", "--port", "99999"], 2, "'99999' is not a port: give a number from 0 to 65535"),
        (["logs", "web.lan"], 1, "There is no job 'web.lan'"),
        (["nothing"], 2, "No such command 'nothing'"),
        (["create", "nginx-site"], 2, "`slipway create --help`"),
        (["jobs", "--limit", "0"], 2, "greater than or equal to 1"),
        (["containers", "--data", "FOLDER/file"], 1, "Not a directory"),
        (["containers", "--data", "FOLDER/none"], 1, "does not run on FOLDER/none"),
        (["containers", "--data", "FOLDER"], 1, "does not answer"),
    ],
)
def test_wrong_arguments(
    running: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], status: int, message: str
) -> None:
    """Each is reported in one line, without a traceback."""
    result = main([argument.replace("FOLDER", str(running)) for argument in arguments])

    errors = capsys.readouterr().err
    assert result == status
    assert message.replace("FOLDER", str(running)) in errors
    assert errors.startswith("slipway: ")
    assert errors.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "environment", "status", "message"),
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
        (["demo"], {"PORT": "eighty"}, 2, "'eighty' is not a port"),
        # Not above: `up` takes the place of the process that runs it.
        (["up", "--data", "/dev/null"], {}, 1, "/dev/null: File exists"),
    ],
)
def test_wrong_settings(arguments: list[str], environment: dict[str, str], status: int, message: str) -> None:
    """The same for what the environment says."""
    command = [sys.executable, "-m", "slipway.cli", *arguments]
    others = {name: value for name, value in os.environ.items() if not name.startswith("SLIPWAY_")}
    settings = {**others, "LAB": "simulated", **environment}

    ended = subprocess.run(command, check=False, capture_output=True, text=True, env=settings, timeout=30)

    assert ended.returncode == status, ended.stderr
    assert message in ended.stderr
    assert ended.stderr.count("\n") == 1
