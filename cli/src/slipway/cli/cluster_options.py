"""Options of the commands that make access to a cluster: where the node is, what is made, who is trusted."""

from typing import Annotated

import typer

NameOption = Annotated[str, typer.Option("--name", help="the cluster's name in Slipway")]
PortOption = Annotated[int, typer.Option("--port", help="of SSH")]
ApiPortOption = Annotated[int, typer.Option("--api-port", help="of Proxmox VE's API")]
TierOption = Annotated[str, typer.Option("--tier", help="how much Slipway may do: observe, operate or full")]
VmidsOption = Annotated[str, typer.Option("--vmids", help="bind the SSH key to these VMIDs: 100-199,300")]
PoolOption = Annotated[str, typer.Option("--pool", help="bind access to the guests of this pool")]
MountsOption = Annotated[str, typer.Option("--mounts", help="folders of the node that containers may mount")]
DevicesOption = Annotated[str, typer.Option("--devices", help="devices of the node that containers may have")]
HostKeyOption = Annotated[
    str | None,
    typer.Option("--host-key", help="the SSH host key that is trusted, or its SHA256: fingerprint"),
]
FingerprintOption = Annotated[
    str | None, typer.Option("--fingerprint", help="SHA-256 of the API's certificate that is trusted")
]
AcceptOption = Annotated[bool, typer.Option("--accept-new", help="trust whatever the machine shows")]
