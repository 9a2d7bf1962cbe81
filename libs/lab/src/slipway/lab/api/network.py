"""`/nodes/{node}/network` and `/cluster/sdn`: bridges, the network card, and the vnets that orders show."""

from collections.abc import Sequence

from slipway.lab.api.call import Call, Route, Routes, Row
from slipway.lab.faults import SdnVnet
from slipway.lab.host.rights import ZONE

ZONES = "/sdn/zones"


def networks(call: Call) -> list[Row]:
    """List the bridges and the network card under them."""
    kind = call.params.get("type", "")
    rows = [_bridge(name, cidr, n) for n, (name, cidr) in enumerate(call.machine.guests.bridges().items())]
    if not call.actor.may(f"/nodes/{call.machine.node}", "Sys.Audit"):
        rows = [row for row in rows if call.actor.may_any(f"{ZONE}/{row['iface']}", ("SDN.Audit", "SDN.Use"))]
    card = {"iface": "eth0", "type": "eth", "active": 1, "method": "manual", "method6": "manual"}
    cards = [card | {"families": ["inet"], "priority": 3}]
    vnets = [_vnet_bridge(order) for order in _visible_vnets(call, ("SDN.Audit", "SDN.Use"))]
    return {
        "": [*rows, *cards],
        "eth": cards,
        "bridge": rows,
        "any_local_bridge": rows,
        "any_bridge": [*rows, *vnets],
        "include_sdn": [*rows, *cards, *vnets],
        "vnet": vnets,
    }.get(kind, [])


def _bridge(name: str, cidr: str, number: int) -> Row:
    address, _, prefix = cidr.partition("/")
    return {
        "iface": name,
        "type": "bridge",
        "active": 1,
        "autostart": 1,
        "families": ["inet"],
        "method": "static",
        "method6": "manual",
        "address": address,
        "netmask": prefix,
        "cidr": cidr,
        "gateway": address,
        "bridge_ports": "eth0",
        "bridge_stp": "off",
        "bridge_fd": "0",
        "priority": 4 + number,
    }


def _vnet_bridge(order: SdnVnet) -> Row:
    """Show a vnet among the bridges (PVE::Network::SDN, `get_local_vnets`)."""
    row: Row = {"iface": order.vnet, "type": "vnet", "active": "1", "ipam": 0}
    row |= {"vlanaware": int(order.is_vlan_aware)}
    return row if order.alias is None else row | {"comments": order.alias}


def vnets(call: Call) -> list[Row]:
    """List the vnets that may be audited."""
    return [_vnet(order) for order in _visible_vnets(call, ("SDN.Audit", "SDN.Allocate"))]


def _vnet(order: SdnVnet) -> Row:
    row: Row = {"vnet": order.vnet, "type": "vnet", "zone": order.zone}
    row |= {} if order.alias is None else {"alias": order.alias}
    row |= {} if order.tag is None else {"tag": order.tag}
    return row | ({"vlanaware": 1} if order.is_vlan_aware else {})


def zones(call: Call) -> list[Row]:
    """List the zones of those vnets."""
    seen = {order.zone for order in _visible_vnets(call, ("SDN.Audit", "SDN.Allocate"))}
    return [{"zone": name, "type": "vlan"} for name in sorted(seen)]


def _visible_vnets(call: Call, rights: Sequence[str]) -> list[SdnVnet]:
    orders = sorted(call.machine.faults.all(SdnVnet), key=lambda order: order.vnet)
    return [order for order in orders if call.actor.may_any(f"{ZONES}/{order.zone}/{order.vnet}", rights)]


ROUTES: Routes = {
    "GET /cluster/sdn/vnets": Route(handler=vnets),
    "GET /cluster/sdn/zones": Route(handler=zones),
    "GET /nodes/{node}/network": Route(handler=networks),
}
