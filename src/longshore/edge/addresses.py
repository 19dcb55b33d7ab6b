"""Which addresses the server may call on a user's word: public ones, and those an operator names.

The list follows the registries of special-purpose addresses of IANA (RFC 6890 and its updates),
and adds what clouds answer on inside of their machines.
"""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final

Network = IPv4Network | IPv6Network
Address = IPv4Address | IPv6Address

_REFUSED_BLOCKS: Final = {
    "an unspecified": ("0.0.0.0/8", "::/128"),
    "a loopback": ("127.0.0.0/8", "::1/128"),
    # Clouds answer on 169.254.169.254 and fd00:ec2::254, too, which the other lines hold.
    "a cloud metadata": ("168.63.129.16/32", "100.100.100.200/32", "169.254.169.254/32"),
    "a link-local": ("169.254.0.0/16", "fe80::/10"),
    "a private": ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7", "fec0::/10"),
    "a carrier-grade NAT": ("100.64.0.0/10",),
    "a multicast": ("224.0.0.0/4", "ff00::/8"),
    "a reserved": (
        "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "198.18.0.0/15", "198.51.100.0/24",
        "203.0.113.0/24", "240.0.0.0/4", "2001::/23", "2001:db8::/32", "3fff::/20",
    ),
}  # fmt: skip
_REFUSED: Final = [
    (kind, ip_network(block)) for kind, blocks in _REFUSED_BLOCKS.items() for block in blocks
]
_PUBLIC_IPV6: Final = IPv6Network("2000::/3")
_NAT64: Final = IPv6Network("64:ff9b::/96")


def refusal(address: str, allowed: Sequence[Network] = ()) -> str | None:
    """Return what kind of address forbids a connection, such as "a private", or None.

    An IPv6 address that stands for an IPv4 one (mapped, 6to4, NAT64) is judged as that one.

    Args:
        address: as a resolver gives it, with or without a zone.
        allowed: networks that may be called, whatever kind they are of.
    """
    found = ip_address(address.partition("%")[0])
    meant = _embedded(found) or found
    if any(each in network for each in (found, meant) for network in allowed):
        return None
    for kind, network in _REFUSED:
        if meant in network:
            return kind
    if meant.version == 6 and meant not in _PUBLIC_IPV6:
        return "a reserved"
    return None


def _embedded(address: Address) -> IPv4Address | None:
    """Return the IPv4 address that an IPv6 address leads to, if any."""
    if isinstance(address, IPv4Address):
        return None
    if address in _NAT64:
        return IPv4Address(int(address) & 0xFFFF_FFFF)
    return address.ipv4_mapped or address.sixtofour
