"""Listening sockets, with the limits that the connections they accept inherit."""

import socket
from dataclasses import dataclass
from typing import Final

from services.runtime.settings import Address

BACKLOG: Final = 4096  # a burst of connections waits here
SEND_BUFFER_BYTES: Final = 64 << 10  # the default grows to megabytes, which hide a slow reader for minutes


@dataclass(frozen=True)
class Listener:
    """Where a server takes connections, and how long it bears with them.

    Args:
        address: host and port; port 0 means any free one.
        keepalive_timeout_s: an idle connection is closed after this; it is the time limit for request headers, too.
        user_timeout_s: TCP_USER_TIMEOUT, where the system has it: bytes that stay unacknowledged for so long end the
            connection. None leaves the system's own minutes.
    """

    address: Address
    keepalive_timeout_s: float
    user_timeout_s: float | None = None


class CannotListen(Exception):
    """The address cannot be taken; the message says why."""

    def __init__(self, address: Address, cause: OSError) -> None:
        self.address = address
        super().__init__(f"cannot listen on {address}: {(cause.strerror or str(cause)).lower()}")


def bind(listener: Listener) -> socket.socket:
    """Return a socket bound to the listener's address, not yet listening.

    Raises:
        CannotListen: taken, not an address of this machine, or not allowed.
    """
    address = listener.address
    try:
        found = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, kind, protocol, _, name = found[0]
        sock = socket.socket(family, kind, protocol)
    except OSError as exc:
        raise CannotListen(address, exc) from exc
    try:
        _limit(sock, listener)
        sock.bind(name)
    except OSError as exc:
        sock.close()
        raise CannotListen(address, exc) from exc
    return sock


def bound_address(sock: socket.socket) -> Address:
    """Return where ``sock`` really listens: port 0 has become a number."""
    host, port = sock.getsockname()[:2]
    return Address(host, port)


def _limit(sock: socket.socket, listener: Listener) -> None:
    sock.setblocking(False)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # a restart does not wait for TIME_WAIT
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
    if listener.user_timeout_s is not None and hasattr(socket, "TCP_USER_TIMEOUT"):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(listener.user_timeout_s * 1000))
