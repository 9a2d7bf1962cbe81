"""How a plan is asked for and shown in a terminal."""

import argparse
from typing import Any

from rich.console import Console
from rich.table import Table

_SIGNS = {
    "done": "looked",
    "acts": "would act",
    "later": "follows",
    "skipped": "not needed",
    "fails": "FAILS",
}


def add_to(parser: argparse.ArgumentParser) -> None:
    """Add the flag."""
    parser.add_argument("--plan", action="store_true", help="only say what would be done")


def show_plan(console: Console, plan: dict[str, Any]) -> int:
    """Show a plan; 1 if a step of it fails already."""
    container = plan["container"]
    console.print(f"{plan['kind']} of {container['hostname']} ({container['vmid']})")
    table = Table("step", "outlook", "what")
    for step in plan["steps"]:
        told = step["request"] or step["message"] or step["words"]
        table.add_row(step["name"], _SIGNS[step["outlook"]], told)
    console.print(table)
    for text in plan["destroys"]:
        console.print(f"LOST: {text}", style="bold red")
    for text in plan["surprises"]:
        console.print(f"Note: {text}")
    return 1 if any(step["outlook"] == "fails" for step in plan["steps"]) else 0
