"""All the processes that faults happen to: a chain, a gateway behind the cable, and servers that may die."""

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from tests.chain import Chain, Server, running_chain
from tests.eventually import eventually
from tests.faults.clients import Doors
from tests.faults.composition import Disaster, Door

# Limits so short that reaching one is cheap, and so long that a busy machine does not reach them by itself.
PROXY: Final[Mapping[str, str]] = {
    "PERMITS": "1",
    "CONNECT_TIMEOUT_S": "3",
    "QUEUE_TIMEOUT_S": "15",
    "IDLE_TIMEOUT_S": "2",
    "FIRST_TOKEN_TIMEOUT_S": "2.5",
    "TOTAL_TIMEOUT_S": "20",
    "HEARTBEAT_S": "0.6",
    "GRACE_S": "2",
    "KEEP_S": "6",
    "LOG_BYTES": str(4 << 20),
    "DRAIN_S": "0.5",
}
GATEWAY: Final[Mapping[str, str]] = {"HEARTBEAT_S": "0.6", "WRITE_TIMEOUT_S": "1.5", "DRAIN_S": "0.5"}
SIMULATOR: Final[Mapping[str, str]] = {"SCRIPT": "rate=0", "NUM_PARALLEL": "64", "KEEP_ALIVE_S": "2"}


@dataclass
class Mortal:
    """The servers behind the mortal door, and which of them the disaster happens to."""

    gateway: Server
    proxy: Server | None  # its own, where the disaster is a proxy's
    victim: Server | None


@dataclass
class Arena:
    """The processes that outlive a batch.

    Args:
        cable: stands between ``wired`` and the chain's proxy.
    """

    chain: Chain
    cable: Server
    wired: Server

    @property
    def lasting(self) -> list[Server]:
        """Those of ours that are held to the gate."""
        return [self.chain.proxy, self.chain.gateway, self.wired]

    def doors(self, door: Door, mortal: Mortal) -> Doors:
        """Return the ports that a run of this door knows."""
        proxy, safe = self.chain.proxy.port, self.chain.gateway.port
        if door is Door.WIRED:
            return Doors(self.wired.port, safe, proxy)
        if door is Door.MORTAL:
            return Doors(mortal.gateway.port, mortal.gateway.port if mortal.proxy else safe, proxy)
        return Doors(safe, safe, proxy)

    @contextlib.contextmanager
    def mortal(self, disaster: Disaster) -> Iterator[Mortal]:
        """Run the servers that ``disaster`` needs, and end them with the block."""
        if disaster is Disaster.NONE:
            yield Mortal(self.chain.gateway, None, None)
            return
        with contextlib.ExitStack() as stack:
            proxy = None
            if not disaster.is_of_a_gateway:
                proxy = self.chain.another_proxy()
                stack.callback(self._end, proxy)
            gateway = self.chain.another_gateway(**({"PROXY_URL": proxy.url} if proxy else {}))
            stack.callback(self._end, gateway)
            eventually(lambda: gateway.get("/readyz")[0] == 200, "the mortal gateway is ready", within_s=20.0)
            yield Mortal(gateway, proxy, proxy or gateway)

    def _end(self, server: Server) -> None:
        server.stop()
        self.chain.servers.remove(server)


@contextlib.contextmanager
def running_arena() -> Iterator[Arena]:
    """Run all that outlives a batch."""
    with running_chain(simulator=SIMULATOR, proxy=PROXY, gateway=GATEWAY, log_level="debug") as chain:
        cable = Server("tests.faults.cable", {"SLUICE_CABLE_TARGET": str(chain.proxy.port)})
        chain.servers.append(cable)
        wired = chain.another_gateway(PROXY_URL=cable.url)
        eventually(lambda: wired.get("/readyz")[0] == 200, "the wired gateway is ready", within_s=20.0)
        yield Arena(chain, cable, wired)
