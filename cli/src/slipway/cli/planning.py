"""How a plan is asked for and shown in a terminal, and how one is asked before something is lost."""

import argparse
import signal
import sys
from collections.abc import Mapping
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


def add_yes_to(parser: argparse.ArgumentParser) -> None:
    """Add the flag that answers beforehand."""
    parser.add_argument("--yes", action="store_true", help="do not ask before what destroys")


def is_wanted(given: argparse.Namespace, what: str) -> bool:
    """Ask before something is lost, where there is somebody to ask."""
    if given.yes or not sys.stdin.isatty():
        return True
    return agreed(f"{what}: this can't be undone (`--plan` shows what is lost). Do it? [y/N] ", default=False)


def agreed(question: str, *, default: bool) -> bool:
    """Ask a question; Ctrl-D is no, Ctrl-C ends the program."""
    # The loop's own handler would only take note of it until the answer comes.
    former = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        answer = input(question).strip().lower()
    except EOFError:
        return False
    finally:
        signal.signal(signal.SIGINT, former)
    return answer in {"y", "yes"} or (default and not answer)


def show_plan(console: Console, plan: dict[str, Any]) -> int:
    """Show a plan; 1 if a step of it fails already."""
    container = plan["container"]
    tell(console, f"{plan['kind']} of {container['hostname']} ({container['vmid']})")
    rows = [(step["name"], _SIGNS[step["outlook"]], _words_of(step)) for step in plan["steps"]]
    show_rows(console, ("step", "outlook", "what"), rows)
    for text in plan["destroys"]:
        tell(console, f"LOST: {text}", style="bold red")
    show_warnings(console, plan)
    return 1 if any(step["outlook"] == "fails" for step in plan["steps"]) else 0


def _words_of(step: Mapping[str, Any]) -> str:
    shown = ("message", "request") if step["outlook"] == "fails" else ("request", "message")
    return str(next((step[name] for name in shown if step[name]), step["words"]))


def show_warnings(console: Console, plan: Mapping[str, Any]) -> None:
    """Show what one may not expect of a plan, of one or of many."""
    for text in plan["warnings"]:
        tell(console, f"Warning: {text}")
