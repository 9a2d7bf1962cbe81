"""A creation on a genuine Alpine, which has no systemd, bash, curl or ss: scripts, health, its end."""

import pytest

from slipway.contracts.job_kinds import JobKind
from slipway.contracts.jobs import RunJob
from slipway.contracts.templates import HealthCheck
from slipway.contracts.values import JobState
from slipway.lab.node import Lab
from slipway.provisioner.steps import health
from support import alpine
from support.provisioner_side import Ground

pytestmark = pytest.mark.lxc
ANSWER = """
printf '#!/bin/sh\\nprintf "HTTP/1.0 200 OK\\\\r\\\\n\\\\r\\\\nhello\\\\n"\\n' >/usr/local/bin/hello
chmod +x /usr/local/bin/hello
setsid nc -lk -s "$(ip -4 addr show eth0 | sed -n 's,.*inet \\(.*\\)/.*,\\1,p')" -p 8080 \\
    -e /usr/local/bin/hello >/dev/null 2>&1 </dev/null &
"""


@pytest.fixture
def lab(alpine_lab: Lab) -> Lab:
    """A node that also has Alpine's archive, on real containers."""
    return alpine_lab


async def command(ground: Ground, check: HealthCheck, **scripts: str) -> RunJob:
    """Order a creation on Alpine with scripts and a health check."""
    bundle = await ground.bundle(health=check, **scripts)
    created = await ground.command(JobKind.CREATE, bundle=bundle)
    spec = created.spec.model_copy(update={"ostemplate": await alpine.template_of(ground.cluster)})
    return created.model_copy(update={"spec": spec})


@pytest.mark.parametrize("kind", ["http", "tcp"])
async def test_a_service_that_listens_is_healthy(ground: Ground, kind: str) -> None:
    """Bound to the guest's own address only, and asked there by what busybox has."""
    check = HealthCheck.model_validate({"kind": kind, "port": 8080, "timeout_seconds": 20})

    record = await ground.run(await command(ground, check, a=ANSWER))

    assert record.state is JobState.SUCCEEDED, record.error
    assert record.warnings == ()


async def test_a_guest_that_cannot_ask_warns(ground: Ground) -> None:
    """Without any program that speaks HTTP it is only known to listen, and its job says so."""
    check = HealthCheck(kind="http", port=8080, timeout_seconds=20)
    remove = "rm /usr/bin/nc /usr/bin/wget"

    record = await ground.run(await command(ground, check, a=ANSWER, b=remove))

    assert record.state is JobState.SUCCEEDED, record.error
    assert [each.partition(":")[0] for each in record.warnings] == [health.NOT_ASKED]


async def test_a_script_for_bash_fails_by_that_name(ground: Ground) -> None:
    """The failure says what the guest lacks, not that the script is missing."""
    check = HealthCheck(kind="tcp", port=8080, timeout_seconds=20)

    record = await ground.run(await command(ground, check, a="#!/bin/bash\necho never\n"))

    assert record.error is not None
    assert record.error.code == "script.failed"
    assert "the guest has no /bin/bash" in record.error.message
