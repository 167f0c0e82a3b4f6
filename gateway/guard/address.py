"""Whose address a request comes from, where an edge that is trusted stands in between. Pure."""

import hashlib
import ipaddress
from collections.abc import Iterable, Sequence
from typing import Final

_LINE_LENGTH: Final = 32
"""Hex digits: 128 bits, as an owner's name."""
Network = ipaddress.IPv4Network | ipaddress.IPv6Network
_IPV6_PREFIX: Final = 64
"""One household: within it everybody can take any address."""


def client_address(peer: str, forwarded: Sequence[str], edges: Iterable[Network]) -> str:
    """Return the address that asks: the peer's, or the right-most of `X-Forwarded-For` that is no edge's.

    Args:
        peer: the other end of the socket.
        forwarded: the values of the header, in order; believed only so far as trusted edges wrote them.
        edges: whose word is believed.

    What is no address, or came from nobody who is trusted, is not looked at. An IPv6 address is its /64.
    """
    trusted, client = tuple(edges), peer
    hops = [hop.strip() for value in forwarded for hop in value.split(",")]
    while hops and is_in(client, trusted):
        hop = hops.pop()
        if _parsed(hop) is None:
            break
        client = hop
    return _grouped(client)


def line_of(address: str) -> str:
    """Return as whom an address takes turns in a waiting line: the same at every gateway, and not the address."""
    return hashlib.sha256(address.encode()).hexdigest()[:_LINE_LENGTH]


def is_this_machine(address: str) -> bool:
    """Return whether who asks from ``address`` asks from here."""
    parsed = _parsed(address)
    return parsed is not None and parsed.is_loopback


def is_in(text: str, networks: Iterable[Network]) -> bool:
    """Return whether an address is one of ``networks``; what is none is not."""
    address = _parsed(text)
    return address is not None and any(address in network for network in networks)


def _parsed(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    return (address.ipv4_mapped or address) if isinstance(address, ipaddress.IPv6Address) else address


def _grouped(text: str) -> str:
    address = _parsed(text)
    if isinstance(address, ipaddress.IPv6Address) and not address.is_loopback:
        return str(ipaddress.ip_network((address, _IPV6_PREFIX), strict=False))
    return text if address is None else str(address)
