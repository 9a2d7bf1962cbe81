"""What `slipway uninstall` says of a cluster that it can't leave by itself."""

from pathlib import Path
from typing import Any

import asyncssh
import pytest
from pydantic import SecretStr

from slipway.proxmox.access import ApiAccess, ClusterAccess, NodeAccess
from slipway.standalone.embedded.ports import HOST, free_port
from slipway.standalone.uninstall.leaving import leave, line_by_hand
from slipway.standalone.uninstall.stored_clusters import StoredCluster

SCRIPT = Path(__file__).parents[3] / "infra/proxmox/make-token.sh"


OURS = "slipway-mine@pve!main"


def cluster(token_id: str, access: ClusterAccess | None = None, **further: Any) -> StoredCluster:
    """A cluster as it is stored."""
    known = {"id": "c1", "name": "home", "token_id": token_id, "access": access, "address": "10.0.0.2"}
    return StoredCluster(**{**known, **further})


async def test_one_that_does_not_answer() -> None:
    """What is left there is named, and the line that removes it on a node."""
    key = asyncssh.generate_private_key("ssh-ed25519")
    node = NodeAccess(
        name="pve1",
        address=HOST,
        port=free_port(),
        private_key=SecretStr(key.export_private_key().decode()),
        host_key=key.export_public_key().decode().strip(),
    )
    token = SecretStr("11111111-2222-3333-4444-555555555555")
    api = ApiAccess(endpoint=f"https://{HOST}:{free_port()}", token_id=OURS, token_secret=token)

    left = await leave(cluster(OURS, ClusterAccess(api=api, nodes={"pve1": node})))

    assert left.by_hand == f"ssh root@10.0.0.2 'ID=mine sh -s remove' < {SCRIPT}"
    assert [problem.partition(":")[0] for problem in left.problems] == [
        "the guests can't be listed",
        "node pve1",
    ]


async def test_one_whose_access_does_not_open() -> None:
    """Without its key in the ring nothing can be done from here."""
    left = await leave(cluster(OURS))

    assert left.problems == ["its stored access can't be opened: the key ring lacks the key"]
    assert left.by_hand == line_by_hand(cluster(OURS))


async def test_one_that_was_removed() -> None:
    """Slipway can't get in any more; the line for the node has the id and the port that it knew."""
    left = await leave(cluster(OURS, is_removed=True, port=2222))

    assert left.problems == ["it was removed from Slipway, and with it the token and the key to get in there"]
    assert left.by_hand == f"ssh -p 2222 root@10.0.0.2 'ID=mine sh -s remove' < {SCRIPT}"


@pytest.mark.parametrize("token_id", ["root@pam!slipway", "slipway-A@pve!main", "slipway-a;b@pve!main"])
def test_a_token_of_somebody_else_is_no_id(token_id: str) -> None:
    """Only an id that the script makes becomes part of a command."""
    assert cluster(token_id).script_id is None
    assert line_by_hand(cluster(token_id)) == (f"(by hand: {token_id} was not made by Slipway's script)")
