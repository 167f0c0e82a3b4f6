"""Two gateways and two proxies behind an edge, restarted one after the other, and the readers that must not notice."""

import asyncio
import json
import signal
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Final

import aiohttp

from tests.behaviour.connections import sample
from tests.browser.page_chain import page_server
from tests.chain import START_S, Chain, Server, running_chain
from tests.edges.running import GATEWAY, PROXY
from tests.eventually import soon
from tests.ports import free_port, free_ports
from tests.reader import Answer, Client

NAMES: Final = ("a", "b")
EXIT_S: Final = 60.0
TRIES: Final = 20
PAUSE_S: Final = 0.2  # as clients wait that come back
# An answer fits into a proxy's drain, and outlasts a gateway's (in which a question gets its headers): it comes back.
DRAINS: Final = {"DRAIN_S": "40"}


@dataclass
class TwoOfEach:
    """The servers, each of which may be replaced at its address."""

    chain: Chain
    page: Server
    proxies: list[Server]
    gateways: list[Server]

    async def roll(self) -> None:
        """Restart all four, as docs/operating.md says: one alone, and the next when it is known to be ready."""
        for number in range(2):
            await self._restart(self.gateways, number, self.chain.another_gateway)
            await soon(partial(is_known_at_the_edge, self.gateways[number]), "the edge knows it", within_s=START_S)
        for number, name in enumerate(NAMES):
            await self._restart(self.proxies, number, partial(self.chain.another_proxy, INSTANCE=name))

    def all_are_ready(self) -> bool:
        """Whether every gateway knows that every proxy is."""
        pages = (json.loads(gateway.get("/health")[1]) for gateway in self.gateways)
        return all(page["proxies"] == dict.fromkeys(NAMES, "ready") for page in pages)

    async def _restart(self, servers: list[Server], number: int, start: Callable[..., Server]) -> None:
        ending = servers[number]
        ending.signal(signal.SIGTERM)
        assert await asyncio.to_thread(ending.wait, EXIT_S) == 0
        ending.stop()
        servers[number] = await asyncio.to_thread(partial(start, LISTEN=ending.address))
        await soon(self.all_are_ready, "all are ready again", within_s=START_S)


def is_known_at_the_edge(gateway: Server) -> bool:
    """Whether it has told the edge, which alone asks here, that it is ready."""
    probes = {"http_route": "/readyz", "http_response_status_code": "200"}
    return sample(gateway, "http_server_request_duration_seconds_count", **probes) > 0


@contextmanager
def two_of_each() -> Iterator[TwoOfEach]:
    *ports, first, second = free_ports(len(NAMES) + 2)  # where they come back
    url = ",".join(f"{name}=http://127.0.0.1:{port}" for name, port in zip(NAMES, ports, strict=True))
    at = [{"LISTEN": f"127.0.0.1:{port}", "INSTANCE": name} for name, port in zip(NAMES, ports, strict=True)]
    with running_chain(
        simulator={"SCRIPT": "rate=0", "NUM_PARALLEL": "64"},
        proxy={**PROXY, **DRAINS, **at[0]},
        gateway={**GATEWAY, "DRAIN_S": "2", "PROXY_URL": url, "LISTEN": f"127.0.0.1:{first}"},
    ) as chain:
        proxies = [chain.proxy, chain.another_proxy(**at[1])]
        page = page_server(free_port(), "same-origin")
        chain.servers.append(page)
        yield TwoOfEach(chain, page, proxies, [chain.gateway, chain.another_gateway(LISTEN=f"127.0.0.1:{second}")])


@dataclass
class Tally:
    """What became of all answers that were asked for."""

    whole: int = 0
    came_back: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    lost: int = 0
    doubled: int = 0
    cut: Counter[str] = field(default_factory=Counter)

    def __str__(self) -> str:
        told = f"{self.whole} whole, {self.came_back} times gone on with, lost {self.lost}, doubled {self.doubled}"
        return f"{told}, refused {dict(self.refused) or 0}, cut {dict(self.cut) or 0}"

    def judge(self, text: str, reason: str, expected: str) -> None:
        """Count an answer by what was read of it."""
        if reason != "stop":
            self.cut[reason] += 1
        elif text == expected:
            self.whole += 1
        elif len(text) < len(expected):
            self.lost += 1
        else:
            self.doubled += 1


async def read_whole(client: Client, model: str, tally: Tally) -> tuple[str, str]:
    """Read an answer as a client does that comes back, and is patient; return its text, and how it ended."""
    answer = await _patiently(partial(client.chat, model), tally)
    path, text, last = answer.path, answer.text, answer.last_number
    while answer.end is None and answer.status == 200:
        tally.came_back += 1
        answer = await _patiently(partial(client.get, f"{path}?after={last}"), tally)
        text, last = text + answer.text, answer.last_number or last
    return text, answer.reason if answer.status == 200 else str(answer.status)


async def _patiently(ask: Callable[[], Awaitable[Answer]], tally: Tally) -> Answer:
    for _ in range(TRIES):
        try:
            answer = await ask()
        except aiohttp.ClientError as exc:
            tally.refused[type(exc).__name__] += 1
        else:
            if answer.status < 500:
                return answer
            tally.refused[f"{answer.status} {answer.body[:60]!r}"] += 1
        await asyncio.sleep(PAUSE_S)
    raise AssertionError(f"refused {TRIES} times")
