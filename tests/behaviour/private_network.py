"""A machine of its own for one client: a network namespace whose words can be lost on the way."""

import contextlib
import ctypes
import os
import socket
import subprocess
import threading
from collections.abc import Iterator
from typing import Final

import pytest

_CLONE_NEWNET: Final = 0x40000000
_SUBNET: Final = "10.199"
_MASK: Final = 30


class PrivateNetwork:
    """A namespace joined to this machine by a pair of virtual cards.

    ``here`` is this machine's address as the namespace knows it, ``there`` is the namespace's own. It has no way to any
    other address, as strangers have none to those inside a house.
    """

    def __init__(self, name: str, here: str, there: str) -> None:
        self._name = name
        self.here = here
        self.there = there

    def new_socket(self) -> socket.socket:
        """Return a TCP socket that lives in the namespace."""
        made: list[socket.socket] = []
        thread = threading.Thread(target=lambda: made.append(self._make()))  # entering is a thread's own affair
        thread.start()
        thread.join()
        return made[0]

    def lose_everything(self) -> None:
        """From now on nothing that the namespace sends arrives: no data, no acknowledgement, no FIN, no RST."""
        _ip("netns", "exec", self._name, "ip", "route", "add", "blackhole", f"{self.here}/32")

    def _make(self) -> socket.socket:
        with open(f"/run/netns/{self._name}", "rb") as namespace:  # noqa: PTH123 setns wants a descriptor
            if ctypes.CDLL(None, use_errno=True).setns(namespace.fileno(), _CLONE_NEWNET) != 0:
                raise OSError(ctypes.get_errno(), "setns")
        sock = socket.socket()
        sock.setblocking(False)
        return sock


@contextlib.contextmanager
def private_network() -> Iterator[PrivateNetwork]:
    """Make a namespace, and remove it with the block; skip where the system has none."""
    number = os.getpid() % 16_000 * 4
    prefix = f"{_SUBNET}.{number // 256}"
    here, there = f"{prefix}.{number % 256 + 1}", f"{prefix}.{number % 256 + 2}"
    name = f"sluice{os.getpid()}"
    near, far = f"{name[-9:]}a", f"{name[-9:]}b"
    try:
        _ip("netns", "add", name)
        _ip("link", "add", near, "type", "veth", "peer", "name", far, "netns", name)
    except subprocess.CalledProcessError as exc:
        pytest.skip(f"no network namespace here: {exc.stderr.decode().strip()}")
    try:
        _ip("addr", "add", f"{here}/{_MASK}", "dev", near)
        _ip("link", "set", near, "up")
        _ip("-n", name, "addr", "add", f"{there}/{_MASK}", "dev", far)
        _ip("-n", name, "link", "set", far, "up")
        yield PrivateNetwork(name, here, there)
    finally:
        _ip("netns", "del", name)  # its card goes with it, and so does ours


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True)
