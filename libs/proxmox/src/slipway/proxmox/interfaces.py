"""The network interfaces inside a running container, as Proxmox answers them."""

from collections.abc import Iterator, Mapping
from ipaddress import IPv4Interface, IPv6Interface, ip_interface

from pydantic import Field

from slipway.proxmox.fields import Answer


class Interface(Answer):
    """A network interface inside a running container, `lo` included."""

    name: str
    inet: str | None = None
    inet6: str | None = None
    ip_addresses: tuple[object, ...] = Field(default=(), alias="ip-addresses")

    @property
    def addresses(self) -> tuple[IPv4Interface | IPv6Interface, ...]:
        """All its addresses, IPv4 first; a DHCP address appears some seconds after the start."""
        addresses = {at for text in self._texts() if (at := _address(text)) is not None}
        return tuple(sorted(addresses, key=lambda at: (at.version, int(at.ip))))

    def _texts(self) -> Iterator[str]:
        for entry in self.ip_addresses:
            if isinstance(entry, Mapping):
                yield f"{entry.get('ip-address')}/{entry.get('prefix')}"
        yield from (text for text in (self.inet, self.inet6) if text)


def _address(text: str) -> IPv4Interface | IPv6Interface | None:
    try:
        return ip_interface(text)
    except ValueError:
        return None
