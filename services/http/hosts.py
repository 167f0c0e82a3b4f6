"""Which ``Host`` headers name this machine (PROTOCOL.md, "Gateway, :3001"): the guard against DNS rebinding. Pure.

A page on a rebound name sends that name; it cannot send another. So what is refused is every name that a stranger can
have resolved to this machine, and what is taken are names and addresses that only this machine can have.
"""

import ipaddress
import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Final

ANY: Final = "*"
REMEMBERED: Final = 64
"""Addresses whose look is kept: clients name the same few."""
_HOST: Final = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[0-9A-Za-z._-]+)(?::[0-9]{1,5})?", re.ASCII)
_LOCALHOST: Final = re.compile(r"(?:[0-9a-z_-]+\.)*localhost")
_DOCKERS_NAME: Final = "host.docker.internal"
"""By which containers reach the machine that they run on."""


class Hosts:
    """The hosts that a server answers: this machine's names and addresses, at any port, and the operator's.

    Args:
        allowed: names of the operator, with a port for that port alone; ``*`` answers every Host.
        own_name: what the machine calls itself.
    """

    def __init__(self, allowed: Iterable[str], *, own_name: str) -> None:
        self._allowed = frozenset(name.lower() for name in allowed)
        self._own = frozenset({own_name.lower(), _DOCKERS_NAME})

    def answer(self, host: str) -> bool:
        """Whether a request with this ``Host`` header is for us."""
        if ANY in self._allowed or host.lower() in self._allowed:
            return True
        match = _HOST.fullmatch(host)
        if match is None:
            return False
        place = match[1].lower()
        if _is_ours(place):
            return True
        name = place.removesuffix(".")
        return name in self._own or name in self._allowed or _LOCALHOST.fullmatch(name) is not None


@lru_cache(maxsize=REMEMBERED)
def _is_ours(place: str) -> bool:
    """Whether ``place`` is a loopback address or the unspecified one, which clients use that were told it."""
    try:
        if place.startswith("["):
            v6 = ipaddress.IPv6Address(place[1:-1])
            address = v6.ipv4_mapped or v6
        else:
            address = ipaddress.IPv4Address(place)  # four decimal numbers, no other spelling
    except ValueError:
        return False
    return address.is_loopback or address.is_unspecified
