"""Where a lab listens."""

from pathlib import Path

from slipway.lab.node import description
from slipway.proxmox.links import scan_host_key
from slipway.proxmox.tls import scan_fingerprint
from support.lab import running_lab


async def test_lab_listens_at_the_configured_address(tmp_path: Path) -> None:
    """API and SSH answer at another address of this machine, and the lab reports that address."""
    async with running_lab(tmp_path, address="127.0.0.3") as lab:
        fingerprint = await scan_fingerprint(f"https://127.0.0.3:{lab.api_port}")
        host_key = await scan_host_key("127.0.0.3", port=lab.ssh_port)
        document = description(lab)

    assert fingerprint == lab.fingerprint
    assert host_key == lab.ssh_host_key
    assert document["endpoint"] == f"https://127.0.0.3:{lab.api_port}"
    assert document["ssh_address"] == "127.0.0.3"
