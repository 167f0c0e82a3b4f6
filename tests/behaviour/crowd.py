"""What many connections cost the machine: descriptors, bytes in sockets, time of the processor."""

import contextlib
import os
import resource
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from tests.chain import Chain, Server

_TICKS_PER_S: Final = os.sysconf("SC_CLK_TCK")


@contextlib.contextmanager
def open_files_at_most(count: int) -> Iterator[None]:
    """Let processes that are started within the block open so many files."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (count, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def bytes_held(chain: Chain) -> int:
    """Return what the servers hold: their memory, and what waits in sockets on either side of their ports."""
    ports = {server.port for server in chain.servers}
    return sum(server.resident_bytes() for server in (chain.proxy, chain.gateway)) + _queued_bytes(ports)


def _queued_bytes(ports: set[int]) -> int:
    total = 0
    for line in Path("/proc/net/tcp").read_text().split("\n")[1:-1]:
        fields = line.split()
        ends = {int(address.rpartition(":")[2], 16) for address in fields[1:3]}
        if ends & ports:
            total += sum(int(queue, 16) for queue in fields[4].split(":"))
    return total


def processor_s(server: Server) -> float:
    """Return the seconds that a process has computed."""
    fields = Path(f"/proc/{server.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS_PER_S
