"""Secrets stay out of logs whoever logs."""

import subprocess
import sys

import pytest

from slipway.runtime.secrets.redaction import clean_unfinished, redact

_PROGRAM = """
import gc
from slipway.runtime.secrets.redaction import clean, redact

seen = 0


def log(phase, details):
    global seen
    seen += 1
    # Not at once: the first of many collections comes before the values are compiled.
    if seen % 40 == 0:
        clean("the last words of a task")


gc.callbacks.append(log)
gc.set_threshold(1, 1, 1)
for number in range(20):
    redact(f"a secret of its own, {number}")
    clean("some text")
gc.callbacks.clear()
"""


def test_what_is_logged_while_rubbish_is_collected() -> None:
    """It is cleaned like all else: a collection may begin anywhere, also where the values are compiled."""
    done = subprocess.run([sys.executable, "-c", _PROGRAM], timeout=30, check=False)

    assert done.returncode == 0


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("it is xyzzy-42", "it is [redacted]"),
        ("it is xyzzy-4", "it is "),
        ("it is xyz", "it is "),
        ("it is xyz, no", "it is xyz, no"),
        ("xyxyzzy-", "xy"),
        ("it is", "it is"),
    ],
)
def test_secret_of_which_the_rest_is_to_come(text: str, shown: str) -> None:
    """A text that goes on ends before what may be a secret."""
    redact("xyzzy-42")

    assert clean_unfinished(text) == shown
