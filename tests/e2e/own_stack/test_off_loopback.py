"""`slipway up` where other machines reach it, as its operator and somebody with a laptop see it."""

import json
import os
import re
import subprocess
from collections.abc import Iterator

import pytest

from support.stack import SLIPWAY, RunningStack, running_stack, stack_folder

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]
READY = re.compile(
    r"Slipway is ready: https://\S+?:(\d+)\n.*fingerprint: ((?:[0-9A-F]{2}:){31}[0-9A-F]{2})\n"
)


@pytest.fixture(scope="module")
def stack() -> Iterator[RunningStack]:
    """A stack that listens on all addresses of this machine."""
    with stack_folder() as data, running_stack("--host", "0.0.0.0", data=data) as running:  # noqa: S104
        yield running


def ask(stack: RunningStack, fingerprint: str) -> "subprocess.CompletedProcess[str]":
    """List the templates as somebody who has only an address, the token and a fingerprint."""
    port = READY.findall((stack.data.parent / "up.log").read_text())[0][0]
    environment = {
        **os.environ,
        "SLIPWAY_URL": f"https://127.0.0.1:{port}",
        "SLIPWAY_TOKEN_FILE": stack.endpoints["bootstrap_token_file"],
        "SLIPWAY_TLS_FINGERPRINT": fingerprint,
    }
    return subprocess.run(
        [*SLIPWAY, "templates"], capture_output=True, text=True, check=False, env=environment, timeout=60
    )


def test_the_printed_fingerprint_is_enough(stack: RunningStack) -> None:
    """It comes with the address; with another one nothing is sent, and both are shown."""
    fingerprint = READY.findall((stack.data.parent / "up.log").read_text())[0][1]
    other = fingerprint[:-2] + ("00" if fingerprint[-2:] != "00" else "11")

    served, refused = ask(stack, fingerprint), ask(stack, other)

    assert (served.returncode, "nginx-site" in served.stdout) == (0, True), served.stderr
    assert refused.returncode == 1
    assert fingerprint in refused.stderr
    assert other in refused.stderr


def test_this_machine_needs_no_certificate(stack: RunningStack) -> None:
    """Its own programs find the API by the data folder, over loopback."""
    local = subprocess.run(
        [*SLIPWAY, "templates", "--data", str(stack.data)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

    assert (local.returncode, "nginx-site" in local.stdout) == (0, True), local.stderr
    assert stack.endpoints["http"].startswith("http://127.0.0.1:")


def test_the_doctor_looks_at_the_certificate_that_others_see(stack: RunningStack) -> None:
    """Not at the plain port of this machine: one that has expired would never be named."""
    command = [*SLIPWAY, "doctor", "-o", "json", "--data", str(stack.data)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    found = {each["check"]: each["message"] for each in json.loads(done.stdout)["checks"]}

    assert found["certificate"].startswith("the page's certificate is valid until")
    assert found["port"].startswith("the page and the API are at https://127.0.0.1:")
