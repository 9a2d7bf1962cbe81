"""Scan the folder of templates. One bad template never hides the others.

Links, and anything that is neither a file nor a folder, are refused: an archive must not contain files from
outside its template.
"""

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from slipway.catalog.manifest.model import TemplateInvalid, parse
from slipway.catalog.publishing.bundle import pack
from slipway.contracts.templates import Manifest, TemplateFault

_MOST_BYTES = 8 * 1024 * 1024
"""For one template; larger content belongs into packages or downloads."""


@dataclass(frozen=True, slots=True)
class ScannedTemplate:
    """A template that can be served."""

    manifest: Manifest
    archive: bytes


@dataclass(frozen=True, slots=True)
class ScanResult:
    """The result of one scan."""

    templates: tuple[ScannedTemplate, ...]
    faults: tuple[TemplateFault, ...]


def digest(folder: Path) -> tuple[tuple[str, int, int], ...]:
    """Return a value that changes with any file below; reads no file."""
    return tuple(sorted([*_stats(folder), *_stats(folder.parent / "lib")]))


def _stats(folder: os.PathLike[str] | str) -> Iterator[tuple[str, int, int]]:
    with contextlib.suppress(FileNotFoundError, NotADirectoryError), os.scandir(folder) as entries:
        for entry in entries:
            stat = entry.stat(follow_symlinks=False)
            yield entry.path, stat.st_mtime_ns, stat.st_size
            if entry.is_dir(follow_symlinks=False):
                yield from _stats(entry.path)


def scan(folder: Path) -> ScanResult:
    """Read every template in the folder."""
    if not folder.is_dir():
        return ScanResult((), (TemplateFault(folder=str(folder), message="There is no such folder."),))
    templates: list[ScannedTemplate] = []
    faults: list[TemplateFault] = []
    for subfolder in sorted(path for path in folder.iterdir() if path.is_dir()):
        try:
            templates.append(_read(subfolder))
        except (TemplateInvalid, OSError, ValueError, RecursionError) as error:
            # ValueError: text that is not UTF-8, or a value that YAML itself can't build.
            faults.append(TemplateFault(folder=subfolder.name, message=str(error)))
    return ScanResult(tuple(templates), tuple(faults))


def _read(template: Path) -> ScannedTemplate:
    described = template / "template.yaml"
    if template.is_symlink() or described.is_symlink() or not described.is_file():
        raise TemplateInvalid("There is no template.yaml (links are refused).")
    files = {f"/{path}": content for path, content in _tree(template / "files")}
    scripts = dict(_tree(template / "scripts"))
    for name, content in scripts.items():
        _check_script(f"scripts/{name}", content)
    text = _text("template.yaml", described.read_bytes())
    manifest = parse(text, folder=template.name, files=files, scripts=list(scripts))
    members = {f"scripts/{name}": content for name, content in scripts.items()}
    members |= {f"files{path}": content for path, content in files.items()}
    archive = pack(manifest, {**members, "lib/slipway.sh": _library(template.parent)})
    if len(archive) > _MOST_BYTES:
        raise TemplateInvalid(f"It has {len(archive)} bytes; at most {_MOST_BYTES} are allowed.")
    return ScannedTemplate(manifest, archive)


def _library(folder: Path) -> bytes:
    file = folder.parent / "lib" / "slipway.sh"
    try:
        content = file.read_bytes()
    except OSError as error:
        raise TemplateInvalid(f"The library for scripts, {file}, can't be read: {error.strerror}.") from error
    _check_script(f"The library for scripts, {file},", content)
    return content


def _check_script(name: str, content: bytes) -> None:
    """Refuse what `sh` would read otherwise than an editor shows it."""
    if _text(name, content).startswith("\ufeff"):
        raise TemplateInvalid(
            f"{name} begins with a byte order mark, which sh takes for a command. Save without."
        )
    # On an old Mac a CR alone ended a line: the first one shows it.
    lines = [
        number
        for number, line in enumerate(content.split(b"\n"), start=1)
        if line.endswith(b"\r") or (number == 1 and line.startswith(b"#!") and b"\r" in line)
    ]
    if lines:
        raise TemplateInvalid(
            f"{name}: line {lines[0]} has a CR, as lines of Windows end with CRLF ({len(lines)} of its lines "
            "do), and sh takes it for a part of the command. Save it with LF alone, as "
            r"`sed -i 's/\r$//'` does; "
            r"where a CR is meant, write printf '\r\n'."
        )


def _text(name: str, content: bytes) -> str:
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        raise TemplateInvalid(f"{name} is not UTF-8: {error}. Save it as UTF-8.") from error


def _tree(root: Path) -> Iterator[tuple[str, bytes]]:
    if root.is_symlink():
        raise TemplateInvalid(f"{root.name}: links are refused; make it a folder.")
    for folder, folders, names in os.walk(root):
        folders.sort()
        for name in sorted([*folders, *names]):
            path = Path(folder) / name
            if path.is_symlink() or not (path.is_file() or path.is_dir()):
                raise TemplateInvalid(f"{path.relative_to(root)}: links and devices are refused.")
            if path.is_file():
                yield path.relative_to(root).as_posix(), path.read_bytes()
