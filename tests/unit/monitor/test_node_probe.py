"""What a machine shows to whom it does not know: nothing is asked of what is no address."""

import pytest

from slipway.contracts.connections import ProbeNode
from slipway.contracts.problems import Invalid
from slipway.monitor.connection_test.probe import probe
from slipway.runtime.bus.call import Call


@pytest.mark.parametrize("address", ["", " ", "a\nb", "n\u00f3de", "pve1/x", "root@pve1", "fe80::1%eth0"])
async def test_what_is_no_address_is_named(address: str) -> None:
    """By its field, as where a cluster is connected."""
    with pytest.raises(Invalid, match="host's name or IP address") as refused:
        await probe(ProbeNode(address=address), Call(actor="me", correlation_id="test"))

    assert [each.field for each in refused.value.errors] == ["address"]
