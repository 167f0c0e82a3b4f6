"""What an edge costs a reader: L11. It prints a table (docs/edges.md has one), and holds the bound that we promise.

That bound is the one place where speed is asserted: an edge that gathers an answer is late by seconds, and nothing else
shows it. Every figure is the median of several, taken in turn with the same asked of the gateway directly.
"""

import statistics
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import pytest
import pytest_asyncio

from tests.behaviour.script import scripted
from tests.edges.curl import asking
from tests.edges.running import Behind, RunningEdge
from tests.machine import needs

pytestmark = [pytest.mark.edge, pytest.mark.timeout(300), needs("curl")]

ROUNDS: Final = 9
TOKENS: Final = 20
RATE: Final = 40
ADDED_S: Final = 0.050
DIRECT: Final = "direct"


@dataclass(frozen=True)
class Figures:
    """Of one answer, in seconds: its first token, and the longest and the mean time between two."""

    first_s: float
    longest_gap_s: float
    mean_gap_s: float


async def figures_of(url: str, edge: RunningEdge | None) -> Figures:
    model = scripted(tokens=TOKENS, rate=RATE, prefill=0.1)
    certificate = None if edge is None else edge.certificate
    async with asking(url, {"model": model.name, "message": "hi"}, certificate) as answer:
        await answer.until_end()
    times = answer.token_times
    gaps = [later - earlier for earlier, later in pairwise(times)]

    assert (answer.text, answer.ended) == (model.text, True)
    return Figures(times[0], max(gaps), (times[-1] - times[0]) / (TOKENS - 1))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def medians(edges: dict[str, RunningEdge], behind: Behind) -> dict[str, Figures]:
    """Of each edge, and of the gateway without one."""
    urls = {DIRECT: behind.chain.gateway.url} | {name: edge.url for name, edge in edges.items()}
    taken: dict[str, list[Figures]] = {name: [] for name in urls}
    for _ in range(ROUNDS):
        for name, url in urls.items():
            taken[name].append(await figures_of(url, edges.get(name)))
    found = {
        name: Figures(*(statistics.median(getattr(one, part) for one in some) for part in Figures.__annotations__))
        for name, some in taken.items()
    }
    print(f"\nmedians of {ROUNDS}, in ms: first token, longest gap, mean gap of {1000 / RATE:g}")
    for name, one in found.items():
        print(f"{name:8} {one.first_s * 1e3:7.1f} {one.longest_gap_s * 1e3:7.1f} {one.mean_gap_s * 1e3:7.2f}")
    return found


async def test_neither_the_first_token_nor_the_next_ones_are_late(
    edge: RunningEdge, medians: dict[str, Figures]
) -> None:
    through, direct = medians[edge.edge.name], medians[DIRECT]

    assert through.first_s - direct.first_s < ADDED_S
    assert through.longest_gap_s - direct.longest_gap_s < ADDED_S
