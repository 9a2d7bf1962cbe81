"""`make chaos SEED=1 JOBS=100`: a whole run; exits 1 if anything is not as it must be."""

import argparse
import asyncio
import shutil
import sys
from pathlib import Path

from chaos.faults import FAULTS, SHORT, schedule
from chaos.hard import SMALL_DISK
from chaos.run import Order, chaos, copy_templates

from support.stack import running_stack, stack_folder


def main() -> int:
    """Run once, print what is wrong and one line of figures."""
    parser = argparse.ArgumentParser(prog="chaos", description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=100)
    parser.add_argument("--at-once", type=int, default=10, help="how many people work side by side")
    parser.add_argument("--faults", type=int, help="how many; default: each twice for 100 jobs")
    parser.add_argument("--only", help="one fault over and over, by its name", choices=sorted(FAULTS))
    parser.add_argument("--keep", type=Path, help="copy the logs there at the end")
    asked = parser.parse_args()
    number = asked.faults or max(len(SHORT), 2 * len(FAULTS) * asked.jobs // 100)
    faults = [asked.only] * number if asked.only else schedule(asked.seed, number)
    order = Order(seed=asked.seed, jobs=asked.jobs, faults=faults, at_once=asked.at_once)
    with stack_folder() as data:
        environment = copy_templates(data.parent / "lxc") | SMALL_DISK
        with running_stack("--lab", "--guests", "simulated", data=data, **environment) as stack:
            try:
                report = asyncio.run(chaos(stack, order))
            finally:
                if asked.keep:
                    shutil.copytree(data / "log", asked.keep, dirs_exist_ok=True)
    if asked.keep:
        report.save(asked.keep)
    for each in report.violations:
        print(f"VIOLATION {each}")  # noqa: T201 - what this program is for
    print(report.figures())  # noqa: T201
    return 1 if report.violations else 0


if __name__ == "__main__":
    sys.exit(main())
