"""Secrets stay out of logs whoever logs."""

import subprocess
import sys

_PROGRAM = """
import gc
from slipway.runtime.redaction import clean, redact

gc.callbacks.append(lambda phase, details: clean("the last words of a task"))
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
