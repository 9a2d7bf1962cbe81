"""How a plan is asked for and shown in a terminal."""

import argparse
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from rich.console import Console

from slipway.cli.showing import show_rows, tell

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


def show_plan(console: Console, plan: Mapping[str, Any]) -> int:
    """Show a plan, of one container or of many; 1 if a step of it fails already."""
    return _show_items(console, plan) if "items" in plan else _show_steps(console, plan)


def shows_losses(console: Console, ask: Callable[..., Awaitable[Mapping[str, Any]]]) -> Callable[[], Any]:
    """Give what asks for a plan and shows what would be lost."""

    async def show() -> None:
        show_losses(console, await ask(plan="true"))

    return show


def _show_steps(console: Console, plan: Mapping[str, Any]) -> int:
    container = plan["container"]
    tell(console, f"{plan['kind']} of {container['hostname']} ({container['vmid']})")
    rows = [(step["name"], _SIGNS[step["effect"]], _words_of(step)) for step in plan["steps"]]
    show_rows(console, ("step", "effect", "what"), rows)
    show_losses(console, plan)
    return 1 if any(step["effect"] == "fails" for step in plan["steps"]) else 0


def _show_items(console: Console, plan: Mapping[str, Any]) -> int:
    names = ("vmid", "hostname", "cluster", "node", "lifecycle")
    rows = [
        [*(each.get(name) for name in names), (each.get("error") or {}).get("message")]
        for each in plan["items"]
    ]
    show_rows(console, (*names, "not possible now"), rows)
    show_losses(console, plan)
    return 0


def _words_of(step: Mapping[str, Any]) -> str:
    shown = ("message", "request") if step["effect"] == "fails" else ("request", "message")
    return str(next((step[name] for name in shown if step[name]), step["words"]))


def show_losses(console: Console, plan: Mapping[str, Any]) -> None:
    """Show what is lost for good and what one may not expect, of one or of many."""
    for text in plan["destroys"]:
        tell(console, f"LOST: {text}", style="bold red")
    for text in plan["warnings"]:
        tell(console, f"Warning: {text}")
