"""Checks the texts and mounts of a request. Pure; every fault names its field.

A comma, a semicolon or a line break in a value would add settings of its own to the property that Proxmox
makes of it; so each text has a pattern, and nothing gets through that the official schema does not know.
"""

import re
from collections.abc import Iterator
from math import inf
from posixpath import normpath

from slipway.contracts.container_specs import ContainerSpec, MountSpec
from slipway.contracts.problems import FieldError
from slipway.inventory.containers.validation.ssh_keys import keys
from slipway.inventory.containers.validation.texts import shown

LARGEST_BYTES = 16 * 1024
"""Of a list or a text without another limit: together they leave as one message of 64 KiB."""
_LARGE = ("env", "variables", "tags", "packages", "scripts", "ssh_public_keys")
MOST_MOUNTS = 256
"""Proxmox numbers `mp0` to `mp255`."""
DISK = (0.001, 2**33)
"""GiB: about a mebibyte, and 2^63 bytes. Proxmox has no bounds, but makes a folder without a limit of what is
less than a mebibyte (PVE::LXC 9.2, `create_disks`, `alloc_disk`)."""
_LONGEST_TEMPLATE = 255
_MOST_LINES = 100
"""Of keys, that a message looks through."""
_TYPES = (
    "debian", "devuan", "ubuntu", "centos", "fedora", "opensuse", "archlinux", "alpine", "gentoo", "nixos",
    "unmanaged",
)  # fmt: skip
_ENV_NAME = re.compile(r"\w+")
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_FILESYSTEMS = re.compile(r"[a-zA-Z0-9_; ]+")
_GUEST_PATH = re.compile(r"/[ -+\--~]{0,4094}")
"""ASCII without a comma, up to Linux's PATH_MAX."""
_DOTS = re.compile(r"/\.\.?(/|$)")


def faults(spec: ContainerSpec) -> Iterator[FieldError]:
    """Return what no container may hold, whatever its node and its template."""
    yield from _texts(spec)
    yield from _sizes(spec)
    yield from _environment(spec)
    yield from _features(spec)
    yield from _mounts(spec.mounts)
    if spec.bwlimit is not None and not 0 <= spec.bwlimit < inf:
        yield FieldError(field="bwlimit", message="KiB/s, 0 (no limit) or more.")


def _texts(spec: ContainerSpec) -> Iterator[FieldError]:
    if spec.ostype is not None and spec.ostype not in _TYPES:
        yield FieldError(field="ostype", message=f"One of {', '.join(_TYPES)}.")
    template = spec.ostemplate
    if template is not None and not (template.isprintable() and 0 < len(template) <= _LONGEST_TEMPLATE):
        message = f"A volume or the start of an archive's name, 1 to {_LONGEST_TEMPLATE} characters."
        yield FieldError(field="ostemplate", message=message)
    if spec.entrypoint is not None and (not spec.entrypoint.strip() or _CONTROL.search(spec.entrypoint)):
        yield FieldError(field="entrypoint", message="A command on one line.")
    yield from _ssh_keys(spec.ssh_public_keys)


def _ssh_keys(text: str | None) -> Iterator[FieldError]:
    if text is None:
        return
    found = tuple(keys(text))
    wrong = ", ".join(str(number) for number, key in found[:_MOST_LINES] if key is None)
    if wrong:
        message = (
            f"Line {wrong} is no public key. A line is like one of authorized_keys: "
            "`ssh-ed25519 AAAA... comment`, with options before it if need be; the key is whole and of the "
            "type that is written before it."
        )
        yield FieldError(field="ssh_public_keys", message=message)
    elif not found:
        message = "There is no key in it; an empty text is none."
        yield FieldError(field="ssh_public_keys", message=message)


def _sizes(spec: ContainerSpec) -> Iterator[FieldError]:
    for name in _LARGE:
        if len(spec.model_dump_json(include={name}).encode()) > LARGEST_BYTES:
            yield FieldError(field=name, message=f"At most {LARGEST_BYTES >> 10} KiB in all.")


def _environment(spec: ContainerSpec) -> Iterator[FieldError]:
    for name, value in spec.env.items():
        if not _ENV_NAME.fullmatch(name):
            yield FieldError(field=f"env.{name}", message="A name has letters, digits and underscores.")
        elif _CONTROL.search(value):
            yield FieldError(field=f"env.{name}", message="A value is one line without control characters.")
    for name, value in spec.variables.items():
        if "\0" in value:
            yield FieldError(field=f"variables.{name}", message="A value can't hold a NUL.")


def _features(spec: ContainerSpec) -> Iterator[FieldError]:
    for name, value in spec.features.items():
        if name == "mount":
            if not isinstance(value, str) or not _FILESYSTEMS.fullmatch(value):
                yield FieldError(field="features.mount", message="File systems, like nfs;cifs.")
        elif not isinstance(value, bool):
            yield FieldError(field=f"features.{name}", message="true or false.")


def _mounts(mounts: tuple[MountSpec, ...]) -> Iterator[FieldError]:
    if len(mounts) > MOST_MOUNTS:
        yield FieldError(field="mounts", message=f"At most {MOST_MOUNTS}.")
    least, most = DISK
    seen: set[str] = set()
    for index, mount in enumerate(mounts):
        at = f"mounts.{index}"
        if not _GUEST_PATH.fullmatch(mount.path) or _DOTS.search(mount.path):
            message = (
                f"{shown(mount.path)} is not a guest path: it begins with /, has no comma, no `.` or `..` "
                "between slashes, and ASCII alone, which Proxmox keeps whole in its config."
            )
            yield FieldError(field=f"{at}.path", message=message)
        if not mount.is_bind and (mount.size is None or not least <= mount.size <= most):
            message = f"GiB, {least:g} to {most:.12g}; it has to be given."
            yield FieldError(field=f"{at}.size", message=message)
        path = normpath(mount.path).replace("//", "/")
        if path == "/":
            yield FieldError(field=f"{at}.path", message="The root disk is there.")
        elif path in seen:
            yield FieldError(field=f"{at}.path", message=f"There is a mount at {shown(path)} before it.")
        seen.add(path)
