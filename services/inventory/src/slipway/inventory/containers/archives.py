"""Chooses the archive that a container is made from: of its architecture, and the newest. Pure.

Archives are called `<package>_<version>_<architecture>.tar.zst`, as pveam lists them and dpkg names its own.
Others, which people made themselves, may have only some of these parts.
"""

import re
from dataclasses import dataclass

from slipway.contracts.cluster_facts import NodeFacts
from slipway.contracts.problems import Invalid
from slipway.inventory.faults import at

_MOST_NAMED = 20
DEFAULT_ARCHITECTURE = "amd64"
"""Taken for a node that does not tell its own; Proxmox's default as well (official schema, `arch`)."""
_NAMES = {
    "amd64": r"amd64|x86[_-]64|x64",
    "i386": r"i[3-6]86",
    "arm64": "arm64|aarch64",
    "armhf": "armhf|armv7l?",
    "riscv64": "riscv64",
    "riscv32": "riscv32",
}
"""What people call an architecture, anywhere in a name."""
_ANY_NAME = "|".join(f"(?P<{name}>{words})" for name, words in _NAMES.items())
_ARCHITECTURE = re.compile(rf"(?:[_.-]|(?<![a-z0-9]))(?:{_ANY_NAME})(?![a-z0-9])", re.IGNORECASE)
ARCHITECTURES = frozenset(_NAMES)
"""Of containers (official schema, `arch`)."""
_SUFFIX = re.compile(r"\.tar(\.[a-z0-9]+)?$")
_PIECE = re.compile(r"([^0-9]*)([0-9]*)")

Pieces = tuple[tuple[tuple[int, ...], int], ...]
"""Each text with the number after it."""


class OsTemplateNotFound(Invalid):
    """No archive fits, neither on the node's storages nor for download."""

    code = "ostemplate.not-found"


@dataclass(frozen=True, slots=True)
class Archive:
    """What an archive's name says."""

    source: str
    """A volume, or the bare name of one to download."""

    @property
    def name(self) -> str:
        """Its file name."""
        return self.source.rpartition("/")[2]

    @property
    def architecture(self) -> str | None:
        """The one that its name tells last."""
        found = [match.lastgroup for match in _ARCHITECTURE.finditer(self._stem)]
        return found[-1] if found else None

    @property
    def package(self) -> str:
        """`debian-12-standard`."""
        return self._without_architecture.partition("_")[0]

    @property
    def version(self) -> str:
        """`12.7-1`; empty if its name has none."""
        return self._without_architecture.partition("_")[2]

    def ends_a_number(self, beginning: str) -> bool:
        """Return whether a beginning of its name cuts no number in two: `alpine-3.2` does `alpine-3.22`."""
        return not (beginning[-1:].isdigit() and self.name.removeprefix(beginning)[:1].isdigit())

    @property
    def _stem(self) -> str:
        return _SUFFIX.sub("", self.name)

    @property
    def _without_architecture(self) -> str:
        return _ARCHITECTURE.sub("", self._stem)


def choose(requested: str, node: NodeFacts, *, architecture: str | None = None) -> str:
    """Choose the archive: a volume on the node, else one that it can download.

    Args:
        requested: a volume (`local:vztmpl/...`) or the start of an archive's name. The package of just that
            name comes before longer ones, then the newest wins, whatever storage it is on.
        node: whose volumes and downloads are looked through.
        architecture: the container's; None is the node's.

    Raises:
        OsTemplateNotFound: names the field.
    """
    if ":" in requested:
        if requested in node.os_templates:
            return requested
        raise _not_found(requested, node, others=())
    wanted = architecture or node.architecture or DEFAULT_ARCHITECTURE
    there, remote = (
        [each for each in map(Archive, sources) if each.name.startswith(requested)]
        for sources in (node.os_templates, node.appliances)
    )
    for archives in (there, remote):
        fitting = [each for each in archives if each.architecture in {None, wanted}]
        if fitting:
            return max(fitting, key=lambda each: _rank(each, requested)).source
    raise _not_found(requested, node, others=[*there, *remote], wanted=wanted)


def choose_download(requested: str, node: NodeFacts) -> str:
    """Choose an archive that a node can download, by the start of its name, as `choose` does.

    Raises:
        OsTemplateNotFound: names the field `template`.
    """
    offering = node.model_copy(update={"os_templates": ()})
    try:
        return choose(requested, offering)
    except OsTemplateNotFound as error:
        names = ", ".join(node.appliances[:_MOST_NAMED]) or "nothing; `pveam update` on the node asks anew"
        more = ", ..." if len(node.appliances) > _MOST_NAMED else ""
        message = (
            f"Node {node.node} offers no OS template {requested!r} for download. It offers: {names}{more}."
        )
        raise at("template", OsTemplateNotFound, message) from error


def debian_order(version: str) -> tuple[Pieces, Pieces]:
    """Return what sorts versions as dpkg does: numbers as numbers, `~` before the end (deb-version(7))."""
    upstream, dash, revision = version.rpartition("-")
    return (_pieces(upstream), _pieces(revision)) if dash else (_pieces(version), _pieces(""))


def _rank(archive: Archive, requested: str) -> tuple[object, ...]:
    is_exact = archive.package == requested
    # One that names its architecture is surely of the right one.
    is_sure = archive.architecture is not None
    is_whole = archive.ends_a_number(requested)
    return (
        is_exact,
        is_whole,
        _pieces(archive.package),
        debian_order(archive.version),
        is_sure,
        archive.source,
    )


def _pieces(text: str) -> Pieces:
    return tuple(((*map(_weight, letters), 0), int(number or 0)) for letters, number in _PIECE.findall(text))


def _weight(character: str) -> int:
    """Return how a character sorts against others and the end of a text, which is 0."""
    if character == "~":
        return -1
    return ord(character) if character.isascii() and character.isalpha() else ord(character) + 256


def _not_found(
    requested: str, node: NodeFacts, *, others: "list[Archive] | tuple[()]", wanted: str = ""
) -> OsTemplateNotFound:
    available = ", ".join(sorted(node.os_templates)) or "none"
    message = f"Node {node.node} has no OS template {requested!r} and offers none for download."
    name = requested.rpartition("/")[2]
    if ":" in requested and name in node.appliances:
        storage = requested.partition(":")[0]
        message = (
            f"Node {node.node} does not have {requested!r}, but can download it: "
            f"`slipway os-template download {name} --node {node.node} --storage {storage}`; or give just its "
            "name, and the creation downloads it."
        )
    if others:
        names = ", ".join(sorted({each.name for each in others}))
        message = (
            f"Node {node.node} has and offers {requested!r} only for another architecture than {wanted}: "
            f"{names}. Download one for {wanted}, or set `arch`."
        )
    return at("ostemplate", OsTemplateNotFound, f"{message} It has: {available}.")
