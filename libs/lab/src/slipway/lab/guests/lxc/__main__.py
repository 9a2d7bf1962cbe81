"""Command line of real containers: what a killed lab left, and the archive that all are made of.

python -m slipway.lab.guests.lxc cleanup [--data DIR]
python -m slipway.lab.guests.lxc template
"""

import argparse
import asyncio
import sys
from pathlib import Path

from slipway.lab.guests.choose import choose
from slipway.lab.guests.lxc import cleanup, template
from slipway.lab.guests.protocol import GuestError


def main() -> None:
    """Clean up after one lab, or after all that left a trace; or build the archive ahead."""
    parser = argparse.ArgumentParser(prog="python -m slipway.lab.guests.lxc")
    parser.add_argument(
        "verb",
        choices=["cleanup", "template"],
        help="template: build Debian's archive unless it is there, or nothing where no real containers run",
    )
    parser.add_argument(
        "--data", type=Path, help="cleanup: the lab's data folder; without it, all labs of this machine"
    )
    chosen = parser.parse_args()
    try:
        if chosen.verb == "template":
            _build()
        else:
            _clean([chosen.data] if chosen.data else cleanup.traces())
    except GuestError as error:
        sys.exit(str(error))


def _clean(folders: list[Path]) -> None:
    for data in folders:
        asyncio.run(cleanup.after_death(data))
        sys.stdout.write(f"cleaned up after the lab in {data}\n")


def _build() -> None:
    choice = choose()
    if choice.kind == "lxc" and choice.is_installed:
        asyncio.run(template.ready())


if __name__ == "__main__":
    main()
