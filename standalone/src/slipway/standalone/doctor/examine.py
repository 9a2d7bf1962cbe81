"""Run the checks, print what they found, and write the archive if it is asked for."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from slipway.cli.formats import Format, print_document, print_table
from slipway.cli.terminal import say, warn
from slipway.runtime.process import logs
from slipway.runtime.process.settings import LogSettings
from slipway.standalone.doctor.bundle import write_bundle
from slipway.standalone.doctor.checks import CHECKS
from slipway.standalone.doctor.findings import Report, State, run_checks
from slipway.standalone.doctor.installation import Installation
from slipway.standalone.folders import DataFolder


async def examine(data: Path, *, port: int, form: Format, bundle: Path | None) -> int:
    """Return the exit status: 1 if a check has failed, or the archive could not be written."""
    logs.configure("doctor", LogSettings.model_construct(log_level="error", log_format="text"))
    installation = Installation(folder=DataFolder(data.resolve()), port=port)  # noqa: ASYNC240 - once, at the start
    reports = await run_checks(CHECKS, installation)
    _print(reports, form)
    if bundle is not None:
        await write_bundle(bundle, installation, reports)
        warn(f"{bundle} is written. Look through it before you pass it on.")
    return 1 if any(each.finding.state is State.FAILED for each in reports) else 0


def _print(reports: Sequence[Report], form: Format) -> None:
    counts = Counter(each.finding.state for each in reports)
    if form.is_whole:
        documents = [each.document() for each in reports]
        print_document({"healthy": not counts[State.FAILED], "checks": documents}, form)
        return
    if form is Format.NAME:
        for each in reports:
            if each.finding.state is State.FAILED:
                say(each.check)
        return
    rows = [(each.check, each.finding.state, each.finding.message, each.finding.remedy) for each in reports]
    print_table(("check", "state", "message", "what to do"), rows)
    warn(", ".join(f"{counts[state]} {state}" for state in State if counts[state]))
