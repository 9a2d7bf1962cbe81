"""How a plan is printed: of one container its steps, of many a row for each."""

from collections.abc import Mapping
from typing import Any

import typer

from slipway.cli.formats import in_one_line, print_document, print_table
from slipway.cli.session import Session
from slipway.cli.terminal import clean, say

_EFFECTS = {
    "done": "looked",
    "acts": "would act",
    "later": "follows",
    "skipped": "not needed",
    "fails": "FAILS",
}


def print_plan(session: Session, plan: Mapping[str, Any]) -> int:
    """Print a plan; return 1 if a step of it fails already."""
    if session.form.is_whole:
        print_document(plan, session.form)
    elif "items" in plan:
        _print_items(plan)
    else:
        _print_steps(plan)
    return 1 if any(step["effect"] == "fails" for step in plan.get("steps", ())) else 0


def print_losses(plan: Mapping[str, Any]) -> None:
    """Print what would be lost for good, and the warnings."""
    for loss in plan["destroys"]:
        typer.secho(clean(f"LOST: {loss}"), bold=True, fg="red")
    for warning in plan["warnings"]:
        say(f"Warning: {warning}")


def _print_steps(plan: Mapping[str, Any]) -> None:
    container = plan["container"]
    say(f"{plan['kind']} of {container['hostname']} ({container['vmid']}, cluster {container['cluster']})")
    rows = [(step["name"], _EFFECTS[step["effect"]], _description(step)) for step in plan["steps"]]
    print_table(("step", "effect", "what"), rows)
    for field, value in plan.get("site_defaults", {}).items():
        say(f"From the site defaults: {field} {in_one_line(value)}")
    print_losses(plan)


def _print_items(plan: Mapping[str, Any]) -> None:
    columns = ("vmid", "hostname", "cluster", "node", "lifecycle")
    rows = [
        [*(item.get(column) for column in columns), (item.get("error") or {}).get("message")]
        for item in plan["items"]
    ]
    print_table((*columns, "not possible now"), rows)
    print_losses(plan)


def _description(step: Mapping[str, Any]) -> str:
    fields = ("message", "request") if step["effect"] == "fails" else ("request", "message")
    return str(next((step[field] for field in fields if step[field]), step["words"]))
