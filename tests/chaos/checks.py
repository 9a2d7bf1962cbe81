"""Compares the model with Proxmox, inventory, the streams and what every viewer saw."""

import itertools
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from chaos.host import FOREIGN
from chaos.model import TERMINAL, Job, Model
from chaos.stream import StoredEvent

LONGEST_SILENCE_SECONDS = 30.0
"""After the last fault ended: how long a running job may say nothing."""
ENDED = frozenset({"finished", "skipped"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What was found when everything was over."""

    model: Model
    host: Sequence[Mapping[str, Any]]
    tasks: Sequence[Mapping[str, Any]]
    containers: Sequence[Mapping[str, Any]]
    jobs: Mapping[str, Mapping[str, Any]]
    job_logs: Mapping[str, Sequence[StoredEvent]]
    faults_ended_at: float


def violations(evidence: Evidence) -> Iterator[str]:
    """Hold everything against the model."""
    yield from _jobs(evidence)
    yield from _host(evidence)
    yield from _host_check(evidence)
    yield from _tasks(evidence)
    for job in evidence.model.jobs.values():
        job_log = evidence.job_logs.get(job.id, ())
        yield from (f"job {job.id} ({job.kind}): {wrong}" for wrong in _job_log(job, job_log))
        yield from (f"job {job.id} ({job.kind}): {wrong}" for wrong in _sight(job, job_log))
    yield from _recovery(evidence)


def recovery_seconds(evidence: Evidence) -> float:
    """Return how long it took at most until a job that ran when the last fault ended went on."""
    ended = evidence.faults_ended_at
    waits = [0.0]
    for job_log in evidence.job_logs.values():
        before = [event for event in job_log if event.at <= ended]
        after = [event for event in job_log if event.at > ended]
        if any(event.kind == "step" for event in before) and after:
            waits.append(after[0].at - ended)
    return max(waits)


def _jobs(evidence: Evidence) -> Iterator[str]:
    accepted = set(evidence.model.jobs)
    for lost in accepted - set(evidence.jobs):
        yield f"job {lost} was accepted and inventory does not know it"
    for strange in set(evidence.jobs) - accepted:
        yield f"job {strange} was never asked for"
    for job in evidence.model.jobs.values():
        row = evidence.jobs.get(job.id, {})
        if row.get("state") not in TERMINAL:
            yield f"job {job.id} is stuck: {row.get('state')} in step {row.get('step')}"
        elif row.get("state") != job.state:
            yield f"job {job.id} ended {job.state} for its viewer, {row.get('state')} for inventory"


def _host(evidence: Evidence) -> Iterator[str]:
    living = [each for each in evidence.containers if each["lifecycle"] != "deleted"]
    for vmid, number in Counter(each["vmid"] for each in living).items():
        if number > 1:
            yield f"VMID {vmid} belongs to {number} living containers of inventory"
    foreign = {int(each["vmid"]) for each in evidence.host if each.get("name") == FOREIGN}
    if foreign != evidence.model.foreigners:
        yield f"others left the containers {evidence.model.foreigners}, and there are {foreign}"
    ours = [each for each in evidence.host if each.get("name") != FOREIGN]
    for name, number in Counter(each.get("name") for each in ours).items():
        if number > 1:
            yield f"{number} containers on the host are called {name}"
    by_vmid = {each["vmid"]: each for each in living}
    for each in ours:
        owner = by_vmid.get(int(each["vmid"]))
        if owner is None or f"container={owner['id']} " not in str(each["description"]):
            yield f"container {each['vmid']} ({each.get('name')}, lock {each.get('lock')}) is an orphan"


def _host_check(evidence: Evidence) -> Iterator[str]:
    rows = {each["id"]: each for each in evidence.containers}
    there = {int(each["vmid"]): each for each in evidence.host if each.get("name") != FOREIGN}
    for each in evidence.model.containers.values():
        row = rows.get(each.id)
        guest = there.get(row["vmid"]) if row and row["lifecycle"] != "deleted" else None
        if each.host_check == "present" and guest is None:
            yield f"{each.hostname} must exist, and does not: {row and row['lifecycle']}"
        if each.host_check == "absent" and guest is not None:
            yield f"{each.hostname} was deleted, and is there"
        if guest is not None and each.power is not None and guest["status"] != each.power:
            yield f"{each.hostname} must be {each.power}, and is {guest['status']}"
        if guest is not None and each.host_check == "present":
            for key, value in each.config.items():
                if guest["config"].get(key) != value:
                    yield f"{each.hostname} must have {key} {value}, and has {guest['config'].get(key)}"
        if row is not None and row.get("job") is not None:
            yield f"{each.hostname} is still held by job {row['job']}"


def _tasks(evidence: Evidence) -> Iterator[str]:
    """No creation runs twice: no more good tasks for a VMID than jobs that were to create there."""
    made = Counter(
        str(task["id"])
        for task in evidence.tasks
        if task["type"] == "vzcreate" and _is_good(str(task["status"]))
    )
    asked = Counter(
        str(vmid)
        for job in evidence.model.jobs.values()
        for vmid in job.vmids
        if job.kind == "container.create"
    )
    for vmid, number in made.items():
        if number > asked[vmid]:
            yield f"VMID {vmid} was created {number} times for {asked[vmid]} jobs"


def _is_good(status: str) -> bool:
    return status == "OK" or status.startswith("WARNINGS")


def _job_log(job: Job, job_log: Sequence[StoredEvent]) -> Iterator[str]:
    """The stream's own job log: it ends once, no step is begun again after its end, no line is doubled."""
    if not job_log or [event.kind for event in job_log].count("done") != 1 or job_log[-1].kind != "done":
        yield f"its job_log does not end with one `done`: {[event.kind for event in job_log][-4:]}"
    if [event.kind for event in job_log].count("accepted") != 1:
        yield "it was not accepted once"
    over: set[str] = set()
    for step in (each.content for each in job_log if each.kind == "step"):
        if step["step"] in over:
            yield f"its step {step['step']} is {step['status']} after it had ended"
        if step["status"] in ENDED:
            over.add(step["step"])
    phases = [(each.content["phase"], each.content["status"]) for each in job_log if each.kind == "phase"]
    if len(phases) != len(set(phases)):
        yield f"phases are reported twice: {phases}"
    percents = [each.content["percent"] for each in job_log if "percent" in each.content]
    if percents != sorted(percents):
        yield f"its percent fell: {percents}"
    if job.template == "counting" and job.retry_of is None:
        yield from _numbers(job, job_log)


def _numbers(job: Job, job_log: Sequence[StoredEvent]) -> Iterator[str]:
    texts = [
        line["text"]
        for each in job_log
        if each.kind == "log" and str(each.content["step"]).startswith("sync.script.")
        if not each.content.get("is_unfinished")
        for line in each.content["lines"]
    ]
    numbers = [int(text.removeprefix("number ")) for text in texts if text.startswith("number ")]
    expected = 2000 if job.state == "succeeded" else len(numbers)
    if numbers != list(range(1, expected + 1)):
        odd = next((i for i, each in enumerate(numbers, start=1) if each != i), len(numbers))
        yield f"it did not print 1 to {expected} once each: {len(numbers)} numbers, odd at {odd}"


def _sight(job: Job, job_log: Sequence[StoredEvent]) -> Iterator[str]:
    """What its viewer saw over all cuts is the stream, event for event; states of a line are not stored."""
    stored = [
        (each.sequence, each.kind, each.content) for each in job_log if not each.content.get("is_unfinished")
    ]
    seen = [each for each in job.seen if not each[2].get("is_unfinished")]
    if seen == stored:
        return
    seen_ids, stored_ids = Counter(each[0] for each in seen), {each[0] for each in stored}
    doubled = [number for number, times in seen_ids.items() if times > 1]
    lost = sorted(stored_ids - set(seen_ids))
    yield f"its viewer saw {len(seen)} of {len(stored)} events; lost {lost[:5]}, doubled {doubled[:5]}"


def _recovery(evidence: Evidence) -> Iterator[str]:
    """After the last fault, nothing that runs is silent for long."""
    ended = evidence.faults_ended_at
    for job, job_log in evidence.job_logs.items():
        moments = [event.at for event in job_log if event.kind != "accepted"]
        for before, after in itertools.pairwise(moments):
            if after > ended and after - max(before, ended) > LONGEST_SILENCE_SECONDS:
                silent = after - max(before, ended)
                yield f"job {job} said nothing for {silent:.0f} s after the last fault had ended"
