"""Writes the generated pages of the reference; `make docs` runs it.

Everything stands in the code: a setting's words are its docstring, an error's are its class's.
"""

import ast
import importlib
import inspect
import pkgutil
from collections.abc import Iterator, Sequence
from datetime import timedelta
from enum import StrEnum
from itertools import pairwise
from pathlib import Path
from types import ModuleType
from typing import Any

from codes import WITHOUT_CLASS, said
from commands import commands
from messages import messages
from pydantic_settings import BaseSettings

from slipway.contracts.job_kinds import JobKind
from slipway.contracts.problems import Problem, ProblemKind, SlipwayError
from slipway.contracts.registry import SERVICES
from slipway.contracts.values import JobState, Lifecycle
from slipway.inventory.containers.lifecycle import TRANSITIONS
from slipway.provisioner import pipelines
from slipway.provisioner.engine.states import RUN_TRANSITIONS, Act
from slipway.runtime.error_mapping import http_status
from slipway.runtime.topology.declared import BUCKETS, STREAMS

FOLDER = Path(__file__).parent
PARTS = ("contracts", "runtime", "proxmox", *SERVICES)
SETTINGS = {
    "gateway": "slipway.gateway.settings:GatewaySettings",
    "inventory": "slipway.inventory.settings:InventorySettings",
    "provisioner": "slipway.provisioner.settings:ProvisionerSettings",
    "monitor": "slipway.monitor.settings:MonitorSettings",
    "catalog": "slipway.catalog.settings:CatalogSettings",
    "ACME (`slipway up --acme NAME`)": "slipway.standalone.acme:AcmeSettings",
    "topology (`slipway topology apply`)": "slipway.runtime.topology.__main__:AdminSettings",
}
MADE = "<!-- made by docs/reference/generate.py: change the code, not this page -->\n"

INTRODUCTION = """\
Each is an environment variable; the same name with `_FILE` at its end names a file that holds the value, and
`SLIPWAY_CONFIG` names one TOML file for all: on top stands what every service has (`log_level = "debug"`), in
a table of its name what one service has or has otherwise (`[monitor]`, `[inventory]`, `[topology]`, ...); an
unknown key is refused by name. A span of time is seconds or ISO 8601. `slipway up` itself reads
`SLIPWAY_NATS_MAX_FILE_STORE` (`4GB`): the most that its bus may take of the disk; the limits of all streams
below must fit in.
"""
OTHERS = """\
## The `slipway` command and the lab

| variable | default | meaning |
|---|---|---|
| `SLIPWAY_URL` | the server of `--data` | Address of the server that the client verbs talk to. |
| `SLIPWAY_TOKEN_FILE` | the bootstrap token of `--data` | The file with the token for it. |
| `SLIPWAY_CONNECT_PASSWORD` | asked for | Root's password, for `slipway cluster connect`. |
| `SLIPWAY_TLS_FINGERPRINT` | | SHA-256 of the one certificate that this server may have. |
| `SLIPWAY_TLS_CA_FILE` | the machine's CAs | The CA that signed this server's certificate (PEM). |
| `SLIPWAY_LAB_CACHE` | `/var/cache/slipway-lab` | Where all labs of a machine keep templates and packages. |
"""
ERRORS = """\
# Errors

Every error is a problem (RFC 9457) with `code`, `message`, `correlation_id` and, for input,
`errors: [{field, message}]`. The code is stable. Kinds: rejected (your move), unavailable (time's; try again
after `Retry-After`), failed (an operator has to look), internal (a bug of ours). An error of a job stands in
its `error`.

| code | HTTP | kind | meaning |
|---|---|---|---|"""

RUN = """\
A record is the truth about a run. Queued is a job without one. Every write is a compare-and-set on the
record's sequence, in one batch with the events it causes, and names its owner's claim number: after `claimed`
each older owner's write is refused (`run.claim-lost`). A terminal job never changes: a retry is a new job. A
batch's state follows from its items'.
"""


def pages() -> dict[str, str]:
    """Return file name to content."""
    return {
        "settings.md": settings(),
        "errors.md": errors(),
        "states.md": states(),
        "messages.md": MADE + messages(),
        "commands.md": MADE + commands(),
    }


def settings() -> str:
    """Return every setting of every service, with its environment name, its default and its description."""
    seen: set[str] = set()
    parts = [
        MADE,
        "# Settings\n",
        INTRODUCTION,
    ]
    common = importlib.import_module("slipway.runtime.process.settings")
    parts += ["## Every service\n", *_table(common.ServiceSettings, seen)]
    parts += ["## Services with a database\n", *_table(common.DatabaseSettings, seen)]
    for name, where in SETTINGS.items():
        module, _, cls = where.partition(":")
        parts += [f"## {name}\n", *_table(getattr(importlib.import_module(module), cls), set(seen))]
    return "\n".join([*parts, OTHERS])


def errors() -> str:
    """Return every stable code, with its HTTP status and what it means."""
    rows: dict[str, str] = {}
    for cls in sorted(set(_errors()), key=lambda cls: (cls.code, cls.__name__, cls.__module__)):
        problem = Problem(kind=cls.kind, code=cls.code, message="", reason=getattr(cls, "reason", None))
        words = " ".join((inspect.getdoc(cls) or "").split("\n\n")[0].split())
        rows.setdefault(cls.code, f"| `{cls.code}` | {_status(problem)} | {problem.kind} | {words} |")
    unknown = {code for part in PARTS for code in said(_package(part).__path__)} - rows.keys()
    if unknown != WITHOUT_CLASS.keys():
        raise LookupError(f"codes.py does not say what these mean: {unknown ^ WITHOUT_CLASS.keys()}")
    for code, (status, kind, words) in WITHOUT_CLASS.items():
        rows[code] = f"| `{code}` | {status} | {kind} | {words} |"
    return "\n".join([MADE, ERRORS, *(rows[code] for code in sorted(rows)), ""])


def states() -> str:
    """Return the tables of a container's life, of a job's states and of the pipelines."""
    life = [(str(old), str(trigger), str(new)) for (old, trigger), new in TRANSITIONS.items()]
    runs = [(str(old), str(act), str(new)) for (old, act), new in RUN_TRANSITIONS.items()]
    steps = [
        f"| {phase} | {pipelines.PERCENTS[phase].start}-{pipelines.PERCENTS[phase].stop} | "
        f"{', '.join(f'`{step.name}`' for step in pipeline) or 'packages, then the scripts'} |"
        for phase, pipeline in pipelines.CREATE.items()
    ]
    deletion = pipelines.OTHERS[JobKind.DELETE]
    return "\n".join(
        [
            MADE,
            "# States\n",
            "## A container's life\n",
            f"It begins as `{Lifecycle.CREATING}`. No other transition than these is possible.\n",
            *_transitions(life),
            *_meanings(Lifecycle),
            "## A job, and its run record\n",
            RUN,
            *_transitions(runs),
            *_meanings(JobState),
            *_meanings(Act),
            "## The five phases of a creation\n",
            "| phase | percent | steps |",
            "|---|---|---|",
            *steps,
            "",
            f"A deletion has the steps {', '.join(f'`{step.name}`' for step in deletion)}.\n",
        ]
    )


def _transitions(moves: Sequence[tuple[str, str, str]]) -> Iterator[str]:
    """Return a row for each state that can be left, a column for each that can be reached."""
    olds, news = (list(dict.fromkeys(move[place] for move in moves)) for place in (0, 2))
    yield f"| from | {' | '.join(f'to {new}' for new in news)} |\n{'|---' * (len(news) + 1)}|"
    for old in olds:
        cells = (", ".join(by for begin, by, end in moves if (begin, end) == (old, new)) for new in news)
        yield f"| {old} | {' | '.join(cells)} |"
    yield ""


def _meanings(cls: type[StrEnum]) -> Iterator[str]:
    """Return what stands below the members of a set of words."""
    words = _below(cls)
    yield from (f"- `{each}`: {words[each.name]}" for each in cls if each.name in words)
    yield ""


def _table(cls: type[BaseSettings], seen: set[str]) -> Iterator[str]:
    words = _words(cls)
    prefix = str(cls.model_config.get("env_prefix", "SLIPWAY_")).upper()
    yield "| variable | default | meaning |\n|---|---|---|"
    for name, field in cls.model_fields.items():
        if name in seen:
            continue
        seen.add(name)
        default = (
            "required"
            if field.is_required()
            else _default(name, field.get_default(call_default_factory=True))
        )
        yield f"| `{prefix}{name.upper()}` | {default} | {words.get(name) or _limit(name)} |"
    yield ""


def _limit(name: str) -> str:
    """Say what a limit is of, where nothing more is to be said about it."""
    of = [each.name for each in (*STREAMS, *BUCKETS) if each.limit == name]
    return f"The most that `{of[0]}` may hold." if of else ""


def _default(name: str, value: Any) -> str:
    if name == "instance":
        return "host and process id"
    shown = getattr(value, "get_secret_value", lambda: value)()
    if hasattr(shown, "total_seconds"):
        if shown >= timedelta(days=1):
            return f"`P{shown.days}D`"
        return f"{shown.total_seconds():g} s"
    return f"`{shown}`" if shown not in {None, ""} else ""


def _words(cls: type[BaseSettings]) -> dict[str, str]:
    """Read the strings that stand below the fields, the parents' too."""
    found: dict[str, str] = {}
    for each in reversed(cls.__mro__):
        if not (each.__module__.startswith("slipway.") and issubclass(each, BaseSettings)):
            continue
        found |= _below(each)
    return found


def _below(cls: type) -> dict[str, str]:
    """Read the string below each name of a class."""
    found: dict[str, str] = {}
    body = ast.parse(inspect.getsource(cls)).body[0]
    for named, below in pairwise(body.body if isinstance(body, ast.ClassDef) else []):
        if isinstance(named, ast.AnnAssign | ast.Assign) and isinstance(below, ast.Expr):
            target = named.target if isinstance(named, ast.AnnAssign) else named.targets[0]
            found[str(getattr(target, "id", ""))] = " ".join(str(ast.literal_eval(below.value)).split())
    return found


def _errors() -> Iterator[type[SlipwayError]]:
    for part in PARTS:
        for module in _modules(_package(part)):
            for cls in vars(module).values():
                if isinstance(cls, type) and issubclass(cls, SlipwayError) and "code" in vars(cls):
                    yield cls


def _package(part: str) -> ModuleType:
    return importlib.import_module(f"slipway.{part}")


def _modules(package: ModuleType) -> Iterator[ModuleType]:
    name = package.__name__
    yield package
    for found in pkgutil.walk_packages(package.__path__, f"{name}."):
        if "migrations" not in found.name and not found.name.endswith("__main__"):
            yield importlib.import_module(found.name)


def _status(problem: Problem) -> str:
    return "-" if problem.kind is ProblemKind.SUPERSEDED else str(int(http_status(problem)))


if __name__ == "__main__":
    for name, content in pages().items():
        (FOLDER / name).write_text(content, encoding="utf-8")
