"""Command line for what a killed lab left: `python -m slipway.lab.guests.lxc cleanup [--data DIR]`."""

import argparse
import asyncio
import sys
from pathlib import Path

from slipway.lab.guests.lxc import cleanup
from slipway.lab.guests.protocol import GuestError


def main() -> None:
    """Clean up after one lab, or after all that left a trace."""
    parser = argparse.ArgumentParser(prog="python -m slipway.lab.guests.lxc")
    parser.add_argument("verb", choices=["cleanup"])
    parser.add_argument(
        "--data", type=Path, help="the lab's data folder; without it, all labs of this machine"
    )
    chosen = parser.parse_args()
    for data in [chosen.data] if chosen.data else cleanup.traces():
        try:
            asyncio.run(cleanup.after_death(data))
        except GuestError as error:
            sys.exit(str(error))
        sys.stdout.write(f"cleaned up after the lab in {data}\n")


if __name__ == "__main__":
    main()
