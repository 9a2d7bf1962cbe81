"""What became of each check, by the error that ended a test."""

import pytest

from slipway.contracts.checks import CheckName, CheckState
from slipway.contracts.problems import SlipwayError
from slipway.monitor.connection_test.checks import of_error


@pytest.mark.parametrize(
    ("code", "at", "failed", "passed"),
    [
        ("cluster.unreachable", CheckName.REACHABLE, CheckName.REACHABLE, 0),
        ("cluster.unreachable", CheckName.NODES, CheckName.NODES, 5),
        ("cluster.credentials-refused", CheckName.REACHABLE, CheckName.CREDENTIALS, 3),
        ("proxmox.failed", CheckName.SSH, CheckName.SSH, 6),
        ("cluster.ssh-key-invalid", CheckName.REACHABLE, CheckName.SSH, 0),
    ],
)
def test_an_error_fails_one_check(code: str, at: CheckName, failed: CheckName, passed: int) -> None:
    """Those before it passed, those after it were not made; each check is there once."""
    checks = of_error(SlipwayError("why", code=code), at)

    (obstacle,) = (each for each in checks if each.is_obstacle)
    assert (obstacle.name, obstacle.message, bool(obstacle.remedy)) == (failed, "why", True)
    assert sum(each.state is CheckState.PASSED for each in checks) == passed
    assert len({each.name for each in checks}) == len(checks) == 11
