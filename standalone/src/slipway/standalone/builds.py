"""Which build has used a data folder last, and whether this one can go on with what it left.

A build is named by its version and the newest revision of each schema that it knows. The folder says it in
`build.json`, which a start writes when the data is at its build; folders of older builds have none.
"""

import json
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path

from slipway.standalone.folders import DataFolder, write_whole
from slipway.standalone.services import WITH_TABLES


@dataclass(frozen=True, slots=True, kw_only=True)
class Build:
    """What there is to know of one build."""

    version: str
    schemas: Mapping[str, str]
    """Schema of the database to its revision."""
    program: str
    """The path of its `slipway` command; another program may be there by now."""

    def is_as(self, other: "Build") -> bool:
        """Whether the data of the one is that of the other."""
        return (self.version, self.schemas) == (other.version, other.schemas)


def own_build() -> Build:
    """Return this build."""
    return Build(
        version=version("slipway-standalone"),
        schemas={schema: newest_revision(schema) for schema in WITH_TABLES},
        program=str(Path(sys.executable).with_name("slipway")),
    )


def stored_build(folder: DataFolder) -> Build | None:
    """Return the build that has used the folder last; None if none has written that there."""
    try:
        return Build(**json.loads(folder.build.read_text(encoding="utf-8")))
    except (FileNotFoundError, ValueError, TypeError):
        return None


def store_build(folder: DataFolder, build: Build) -> None:
    """Write into the folder which build its data is of."""
    write_whole(folder.build, json.dumps(asdict(build), indent=2) + "\n")


def is_newer(number: str, schemas: Mapping[str, str]) -> bool:
    """Whether data of this version and these revisions is of a build newer than this one."""
    ahead = any(revision > newest_revision(schema) for schema, revision in schemas.items())
    return ahead or _numbers(number) > _numbers(version("slipway-standalone"))


def is_too_old(number: str) -> bool:
    """Whether data of this version is of more than one version before this one."""
    ours, theirs = _numbers(version("slipway-standalone")), _numbers(number)
    return theirs < ours and (theirs[0] != ours[0] or ours[1] - theirs[1] > 1)


def newest_revision(schema: str) -> str:
    """Return the newest revision of a schema that this build knows; empty for a schema that it does not."""
    if schema not in WITH_TABLES:
        return ""
    folder = Path(str(files(f"slipway.{schema}") / "migrations"))
    return max(path.name for path in folder.glob("[0-9]*.py")).partition("_")[0]


def _numbers(text: str) -> tuple[int, int]:
    major, minor, *_ = text.split(".")
    return int(major), int(minor)
