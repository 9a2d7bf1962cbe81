"""What a shell completes; each word is looked up by the command itself."""

import os
import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    ("command_line", "expected"),
    [
        ("slipway cl", ["cluster", "clusters", "clone"]),
        ("slipway container st", ["start", "stop"]),
        ("slipway ls -o j", ["json"]),
    ],
)
def test_completion(command_line: str, expected: list[str]) -> None:
    """Nouns, short verbs, the verbs of a container, and values of options."""
    environment = {
        **os.environ,
        "_SLIPWAY_COMPLETE": "complete_bash",
        "COMP_WORDS": command_line,
        "COMP_CWORD": str(len(command_line.split()) - 1),
    }
    code = "import sys; from slipway.cli.__main__ import main; sys.exit(main([]))"

    process = subprocess.run(
        [sys.executable, "-c", code],
        check=True,
        capture_output=True,
        text=True,
        env=environment,
    )

    assert process.stdout.split() == expected
