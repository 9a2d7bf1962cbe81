"""Packs what an installation needs of `infra/`: the templates, and the script for a Proxmox node.

In a checkout they are used where they are; a wheel has them as `slipway/standalone/infra`.
"""

from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

PARTS = ("lxc", "proxmox")


class InfraHook(BuildHookInterface[Any]):
    """Adds them to a wheel, and to the source archive that a wheel may be built from."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Say what is added; nothing to an editable installation, which is a checkout."""
        if version == "editable":
            return
        root = Path(self.root)
        source = root / "infra" if (root / "infra").is_dir() else root.parent / "infra"
        place = "infra" if self.target_name == "sdist" else "slipway/standalone/infra"
        for part in PARTS:
            build_data["force_include"][str(source / part)] = f"{place}/{part}"
