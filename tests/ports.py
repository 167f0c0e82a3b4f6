"""Ports for programs that must be told one before they start."""

import contextlib
import random
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Final

LOWEST: Final = 11_000  # above 10080, which browsers refuse to open
_ANY: Final = 0  # the kernel chooses
_KERNEL_S: Final = Path("/proc/sys/net/ipv4/ip_local_port_range")
_TRIES: Final = 1000


def free_port() -> int:
    """Return a port of loopback that nobody listens on."""
    return free_ports(1)[0]


def free_ports(count: int) -> list[int]:
    """Return ports of loopback that nobody listens on, all different.

    None is of the kernel's own, where it leaves others: until the program has started, any connection and any server
    that asks for some port would be given one of those. They are drawn: two workers hardly ever name the same.
    """
    with contextlib.ExitStack() as held:
        return [_bound(held) for _ in range(count)]


def _bound(held: contextlib.ExitStack) -> int:
    for port in _candidates():
        sock = held.enter_context(socket.socket())
        with contextlib.suppress(OSError):
            sock.bind(("127.0.0.1", port))
            return int(sock.getsockname()[1])
    raise AssertionError("no port is free")


def _candidates() -> Iterator[int]:
    dice = random.SystemRandom()  # workers whose tests seed the other one would draw the same
    with contextlib.suppress(OSError):
        kernel_s = int(_KERNEL_S.read_text(encoding="ascii").split()[0])
        if kernel_s > 2 * LOWEST:
            yield from (dice.randrange(LOWEST, kernel_s) for _ in range(_TRIES))
    yield _ANY
