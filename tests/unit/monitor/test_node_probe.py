"""What a machine shows to whom it does not know: nothing is asked of what is no address."""

from datetime import timedelta

import pytest

from slipway.contracts.connections import ProbeNode
from slipway.contracts.problems import Invalid, SlipwayError
from slipway.monitor.connection_test.probe import probe
from slipway.proxmox.links import scan_host_key
from slipway.proxmox.tls import scan_fingerprint
from slipway.runtime.bus.call import Call


@pytest.mark.parametrize("address", ["", " ", "a\nb", "n\u00f3de", "pve1/x", "root@pve1", "fe80::1%eth0"])
async def test_what_is_no_address_is_named(address: str) -> None:
    """By its field, as where a cluster is connected."""
    with pytest.raises(Invalid, match="host's name or IP address") as refused:
        await probe(ProbeNode(address=address), Call(actor="me", correlation_id="test"))

    assert [each.field for each in refused.value.errors] == ["address"]


async def test_a_closed_port_says_how_another_is_given() -> None:
    """That of SSH and that of the API, as a field and as an option."""
    seen = await probe(
        ProbeNode(address="127.0.0.1", port=1, api_port=1), Call(actor="me", correlation_id="test")
    )

    no_ssh, no_api = seen.problems
    assert "port 1." in no_ssh
    assert "(--port)" in no_ssh
    assert "https://127.0.0.1:1." in no_api
    assert "(--api-port)" in no_api


async def test_a_name_that_is_not_known_is_no_silent_server() -> None:
    """The name is at fault, so both say the same: what can be done about it."""
    patient = timedelta(seconds=60)

    for scan in (
        scan_host_key("nope.invalid", timeout=patient),
        scan_fingerprint("https://nope.invalid", timeout=patient),
    ):
        with pytest.raises(SlipwayError, match=r"The name nope\.invalid is not known .* /etc/hosts"):
            await scan
