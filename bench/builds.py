"""The builds that are measured, ours and the baseline, and their running stacks.

The baseline has its own checkout and environment (`make bench-baseline`); without them ours is measured
alone. Both are driven over the same routes; what has another name in the baseline stands in `Build`.
"""

import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.processes import cpu_seconds, family
from support.stack import RunningStack, running_stack, stack_folder

ROOT = Path(__file__).parents[1]
CACHE = ROOT / ".bench" / "baseline"
"""Two folders deep: tests of the layout take what lies higher for parts of Slipway."""
COMMIT = "1cc96ad"
LIMITS = {"SLIPWAY_NODE_CREATIONS": "8"}
LAB = ("--lab", "--guests", "simulated")


@dataclass(frozen=True, slots=True, kw_only=True)
class Build:
    """One build of Slipway."""

    name: str
    root: Path
    list_verb: Sequence[str]
    """The arguments with which its command lists containers."""

    @property
    def program(self) -> tuple[str, ...]:
        """Its `slipway`."""
        return (str(self.root / ".venv" / "bin" / "python"), "-m", "slipway.cli")

    def copy_templates(self, folder: Path) -> dict[str, str]:
        """Put its templates and those of its tests into a folder; the environment that names it."""
        shutil.copytree(self.root / "infra" / "lxc", folder)
        shutil.copytree(self.root / "tests" / "e2e" / "templates", folder / "templates", dirs_exist_ok=True)
        return {"SLIPWAY_TEMPLATES_DIR": str(folder / "templates")}


@dataclass(frozen=True, slots=True)
class Side:
    """A build and its running stack."""

    build: Build
    stack: RunningStack

    @property
    def name(self) -> str:
        """The build's name."""
        return self.build.name

    @property
    def pids(self) -> set[int]:
        """All processes now, but for the lab's."""
        pids = self.stack.endpoints["pids"]
        mine = [pid for name, pid in pids.items() if name != "lab"]
        return family(self.stack.process.pid, *mine, without=[pids[name] for name in pids if name == "lab"])

    def cpu(self) -> float:
        """CPU seconds that they have used so far."""
        return cpu_seconds(self.pids)


OURS = Build(name="this", root=ROOT, list_verb=("container", "list"))
BASELINE = Build(name=COMMIT, root=CACHE / COMMIT, list_verb=("containers",))


def builds() -> list[Build]:
    """Return our build, and the baseline if it was made."""
    return [OURS, BASELINE] if Path(BASELINE.program[0]).exists() else [OURS]


@contextmanager
def running(
    build: Build, *arguments: str, data: Path, lab: Sequence[str] = LAB, **environment: str
) -> Iterator[Side]:
    """Run a build's stack on a data folder; with the lab's simulated guests, or `lab` as its arguments."""
    templates = data.parent / "lxc"
    settings = LIMITS | {"SLIPWAY_TEMPLATES_DIR": str(templates / "templates")} | environment
    if not templates.exists():
        build.copy_templates(templates)
    with running_stack(*lab, *arguments, data=data, program=build.program, **settings) as stack:
        yield Side(build, stack)


@contextmanager
def running_side_by_side() -> Iterator[list[Side]]:
    """Run a stack of each build at once, on fresh folders; they are measured in turns."""
    with ExitStack() as stack:
        yield [
            stack.enter_context(running(build, data=stack.enter_context(stack_folder())))
            for build in builds()
        ]


def make_baseline() -> None:
    """Check the baseline's commit out of git's history, and make its environment."""
    folder = BASELINE.root
    if not (folder / ".git").exists():
        shutil.rmtree(folder, ignore_errors=True)
        folder.parent.mkdir(parents=True, exist_ok=True)
        clone = ["git", "clone", "--quiet", "--shared", "--no-checkout", str(ROOT), str(folder)]
        subprocess.run(clone, check=True, timeout=300)
        subprocess.run(["git", "-C", str(folder), "checkout", "--quiet", COMMIT], check=True, timeout=300)
    environment = {
        name: value for name, value in os.environ.items() if name not in {"MAKEFLAGS", "MAKELEVEL"}
    }
    subprocess.run(["make", "-C", str(folder), "setup"], check=True, env=environment, timeout=1800)


def commit() -> str:
    """Return the commit that is measured, with a `+` if there are changes on top."""
    output = subprocess.run(
        ["git", "-C", str(ROOT), "describe", "--always", "--dirty=+", "--exclude=*"],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return output.stdout.strip()


if __name__ == "__main__":
    make_baseline()
