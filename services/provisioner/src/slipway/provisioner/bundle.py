"""A template's archive, unpacked in memory and rendered for one container."""

import io
import tarfile
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass

from jinja2 import StrictUndefined, TemplateError
from jinja2.sandbox import SandboxedEnvironment

from slipway.contracts.problems import Failed
from slipway.contracts.templates import Manifest, TemplateFile
from slipway.proxmox.files import GuestFile
from slipway.runtime.bus.bundles import Bundles

LIBRARY = "/var/lib/slipway/lib/slipway.sh"
"""Guest path of the library for scripts."""
_LIBRARY_MEMBER = "lib/slipway.sh"


CACHE_BYTES = 8 * 1024 * 1024
"""Of the bundles that are held in memory; the templates of Slipway take a tenth of it."""


class RenderFailed(Failed):
    """A file of the template can't be made for this container."""

    code = "template.render-failed"


@dataclass(frozen=True, slots=True)
class Bundle:
    """A template's version as it was frozen at acceptance."""

    manifest: Manifest
    members: Mapping[str, bytes]

    @classmethod
    def unpack(cls, archive: bytes) -> "Bundle":
        """Read the archive that catalog packed."""
        with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
            files = {member.name: tar.extractfile(member) for member in tar.getmembers()}
            members = {name: file.read() for name, file in files.items() if file is not None}
        return cls(Manifest.model_validate_json(members["manifest.json"]), members)

    @property
    def size_bytes(self) -> int:
        """How much its files take, unpacked."""
        return sum(map(len, self.members.values()))

    def script(self, name: str) -> str:
        """Return a script's text."""
        return self.members[f"scripts/{name}"].decode()

    def files(self, values: Mapping[str, str]) -> tuple[GuestFile, ...]:
        """Return the files for the guest, with these values in rendered ones."""
        library = GuestFile(path=LIBRARY, content=self.members[_LIBRARY_MEMBER], policy="replace")
        return (library, *(self._file(entry, values) for entry in self.manifest.files))

    def _file(self, entry: TemplateFile, values: Mapping[str, str]) -> GuestFile:
        content = self.members[f"files{entry.path}"]
        return GuestFile(
            path=entry.path,
            content=_rendered(entry.path, content, values) if entry.is_rendered else content,
            policy=entry.policy,
            mode=int(entry.mode, 8),
            owner=entry.owner,
            group=entry.group,
        )


class BundleCache:
    """The bundles used last, unpacked: one never changes, so its hash is all that is needed to know it."""

    def __init__(self, bundles: Bundles) -> None:
        self._bundles = bundles
        self._unpacked: OrderedDict[str, Bundle] = OrderedDict()

    async def get(self, sha256: str) -> Bundle:
        """Return a bundle; it is read from the bus unless it was used lately."""
        bundle = self._unpacked.pop(sha256, None) or Bundle.unpack(await self._bundles.get(sha256))
        self._unpacked[sha256] = bundle
        while len(self._unpacked) > 1 and self._size_bytes > CACHE_BYTES:
            self._unpacked.popitem(last=False)
        return bundle

    @property
    def _size_bytes(self) -> int:
        return sum(bundle.size_bytes for bundle in self._unpacked.values())


def _rendered(path: str, content: bytes, values: Mapping[str, str]) -> bytes:
    # A file of a guest is not a page of ours: nothing to escape for.
    jinja = SandboxedEnvironment(
        undefined=StrictUndefined,
        keep_trailing_newline=True,
        autoescape=False,
        # Jinja ends all lines alike; catalog has seen to it that the file does.
        newline_sequence="\r\n" if b"\r\n" in content else "\n",
    )
    try:
        return jinja.from_string(content.decode()).render(values).encode()
    except (TemplateError, UnicodeDecodeError) as error:
        raise RenderFailed(f"The template's file {path} can't be rendered: {error}", path=path) from error
