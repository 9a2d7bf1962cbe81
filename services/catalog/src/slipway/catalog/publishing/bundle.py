"""Pack a template version into an archive whose bytes depend only on its content.

`manifest.json`, `scripts/NAME`, `files/GUEST/PATH`, `lib/slipway.sh`; sorted, no times, no owners: the same
template gives the same SHA-256 on every machine.
"""

import io
import tarfile
from collections.abc import Mapping

from slipway.contracts.templates import Manifest


def pack(manifest: Manifest, members: Mapping[str, bytes]) -> bytes:
    """Pack the manifest and the members, named as they will lie in the archive."""
    content = {"manifest.json": manifest.model_dump_json(indent=1).encode(), **members}
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name in sorted(content):
            entry = tarfile.TarInfo(name)
            entry.size = len(content[name])
            entry.mode = 0o644
            tar.addfile(entry, io.BytesIO(content[name]))
    return archive.getvalue()
