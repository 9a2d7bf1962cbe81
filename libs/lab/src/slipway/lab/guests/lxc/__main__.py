"""Command line for what a killed lab left: `python -m slipway.lab.guests.lxc cleanup [--data DIR]`."""

import argparse
import asyncio
import sys
from pathlib import Path

from slipway.lab.guests.lxc import cleanup
from slipway.lab.guests.lxc.place import place


def main() -> None:
    """Clean up after one lab, or after all that left a trace."""
    parser = argparse.ArgumentParser(prog="python -m slipway.lab.guests.lxc")
    parser.add_argument("verb", choices=["cleanup"])
    parser.add_argument(
        "--data", type=Path, help="the lab's data folder; without it, all labs of this machine"
    )
    chosen = parser.parse_args()
    if chosen.data is None:
        cleaned = asyncio.run(cleanup.everything())
    else:
        asyncio.run(cleanup.leftovers(place(chosen.data)))
        cleaned = [chosen.data]
    sys.stdout.writelines(f"cleaned up after the lab in {data}\n" for data in cleaned)


if __name__ == "__main__":
    main()
