"""Facts of a step are typed here and text on the wire."""

from datetime import UTC, datetime

from slipway.provisioner.host.locks import LockFacts
from slipway.provisioner.host.ownership import ClearingFacts
from slipway.provisioner.host.tasks import NO_TASK, TaskFacts
from slipway.provisioner.steps.power import PowerFacts
from slipway.provisioner.steps.sync import SyncFacts
from slipway.provisioner.workflow import TRANSIENT_FACTS
from slipway.proxmox.upid import Upid

UPID = "UPID:pve1:000006AF:0002EAD7:6B03A7B0:vzdump:202:root@pam:"
AT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def test_facts_of_an_older_build_are_read() -> None:
    """As the builds before wrote them: all text, and an empty one for what was taken back."""
    stored = {
        "task": "vzdump",
        "upid": UPID,
        "posted_at": "2026-01-02T03:04:05+00:00",
        "before": "000006AF:0002EAD7:6B03A7B0 000006B0:0002EAD8:6B03A7B1",
        "log_base": "12",
        "clearing": "",
        "locked_since": "2026-01-02T03:04:05+00:00",
        "ran": "yes",
        "tried": "2",
    }

    facts = TaskFacts.read(stored)

    assert (facts.upid, facts.posted_at, facts.log_base, facts.task_vmid) == (Upid(UPID), AT, 12, None)
    assert facts.before == ("000006AF:0002EAD7:6B03A7B0", "000006B0:0002EAD8:6B03A7B1")
    assert ClearingFacts.read(stored).clearing is None
    assert LockFacts.read(stored).locked_since == AT
    assert PowerFacts.read(stored).ran
    assert SyncFacts.read(stored).tried == 2


def test_only_what_was_set_is_written() -> None:
    """Other facts of the step stay as they are; None takes one back."""
    facts = TaskFacts(posted_at=AT, before=("a", "b"))

    assert facts.stored() == {"before": "a b", "posted_at": "2026-01-02T03:04:05+00:00"}
    assert NO_TASK.stored() == {"before": "", "posted_at": "", "upid": ""}
    assert PowerFacts(ran=True).stored() == {"ran": "yes"}
    assert TaskFacts.read({**facts.stored(), **NO_TASK.stored()}) == TaskFacts()


def test_a_retry_inherits_nothing_that_was_under_way() -> None:
    """Its tasks, its tries and its waits are its own; what was found out stays known."""
    assert {"upid", "posted_at", "clearing", "tried", "locked_since"} <= TRANSIENT_FACTS
    assert not {"ran", "in_vain", "storage", "snapshot", "volume"} & TRANSIENT_FACTS
