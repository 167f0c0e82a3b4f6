"""The chain with the page in front of it, as `make run` starts them, on free ports."""

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from tests.chain import Chain, Server, running_chain
from tests.ports import free_ports

# What people run; the chain's own test profile would cut a browser that draws for a second.
PROXY: Final = {
    "HEARTBEAT_S": "2",
    "WRITE_TIMEOUT_S": "10",
    "FIRST_TOKEN_TIMEOUT_S": "30",
    "TOTAL_TIMEOUT_S": "120",
    "IDLE_TIMEOUT_S": "30",
}
GATEWAY: Final = {"HEARTBEAT_S": "2", "WRITE_TIMEOUT_S": "10"}


SPARE_PAGES: Final = 4
HOUSE: Final = "house.test"
"""A name that leads to this machine and is no loopback one: to a browser, plain http from elsewhere."""


@dataclass
class PageChain:
    """The chain, the server that hands out the page, and room for more of those."""

    chain: Chain
    page: Server
    spare_ports: list[int]

    @property
    def url(self) -> str:
        """Where the page is."""
        return self.page.url

    @contextlib.contextmanager
    def another_page(self, gateway_url: str, **settings: str) -> Iterator[Server]:
        """Serve the page once more, for as long as the block lasts, asking ``gateway_url``."""
        page = page_server(self.spare_ports[0], gateway_url, **settings)
        self.spare_ports.append(self.spare_ports.pop(0))  # the next one gets another: its storage is its own
        try:
            yield page
        finally:
            page.stop()


def page_server(port: int, gateway_url: str, **settings: str) -> Server:
    """Start a page server."""
    own = {f"SLUICE_WEB_{name}": value for name, value in settings.items()}
    return Server(
        "services.webchat", {"SLUICE_WEB_LISTEN": f"127.0.0.1:{port}", "SLUICE_WEB_GATEWAY_URL": gateway_url, **own}
    )


@contextlib.contextmanager
def running_page(
    *,
    hosts: tuple[str, ...] = ("127.0.0.1", "localhost", HOUSE),
    simulator: Mapping[str, str] | None = None,
    proxy: Mapping[str, str] | None = None,
    gateway: Mapping[str, str] | None = None,
) -> Iterator[PageChain]:
    """Run the chain and the page.

    Args:
        hosts: names under which the page is opened.
        simulator: settings without their prefix; so for the others.
    """
    first, *spare = free_ports(1 + SPARE_PAGES)
    origins = ",".join(f"http://{host}:{port}" for host in hosts for port in (first, *spare))
    with running_chain(
        simulator={"SCRIPT": "rate=60", "NUM_PARALLEL": "64", **(simulator or {})},
        proxy={**PROXY, **(proxy or {})},
        gateway={**GATEWAY, "CORS_ORIGINS": origins, **(gateway or {})},
    ) as chain:
        page = page_server(first, chain.gateway.url)
        chain.servers.append(page)
        yield PageChain(chain, page, spare)
