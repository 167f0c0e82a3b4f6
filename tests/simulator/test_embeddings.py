"""Vectors of the simulator: the same for the same text, and its refusals as recorded in embed_story."""

import json
import math
from typing import Any

import pytest

from services.simulator.embeddings import DIMENSIONS
from services.simulator.simulator import Simulator
from tests.simulator.reader import ask, post


@pytest.mark.parametrize(("dimensions", "length"), [({}, DIMENSIONS), ({"dimensions": 16}, 16)], ids=str)
async def test_each_text_has_its_own_unit_vector(dimensions: dict[str, int], length: int, simulator: Simulator) -> None:
    body = {"model": "embedder", "input": ["a", "b", "a"], **dimensions}
    answer = json.loads((await ask(simulator, post("/api/embed", body))).body)
    first, second, third = answer["embeddings"]

    assert first == third != second
    assert len(first) == length
    assert math.hypot(*first) == pytest.approx(1, abs=1e-3)
    assert answer["prompt_eval_count"] == 6


async def test_the_older_route_gives_one_vector_and_none_for_nothing(simulator: Simulator) -> None:
    bodies: list[dict[str, Any]] = [{"model": "embedder", "prompt": "a"}, {"model": "embedder"}]
    one, none = [json.loads((await ask(simulator, post("/api/embeddings", body))).body) for body in bodies]

    assert len(one["embedding"]) == DIMENSIONS
    assert none == {"embedding": []}


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        (
            {"model": "story", "input": "x"},
            501,
            "This server does not support embeddings. Start it with `--embeddings`",
        ),
        ({"model": "nobody", "input": "x"}, 404, "model 'nobody' not found"),
        ({"model": "embedder", "input": 5}, 400, "invalid input type"),
        (b"", 400, "missing request body"),
        (b"{", 400, "unexpected EOF"),
    ],
    ids=str,
)
async def test_what_cannot_be_embedded_is_refused(body: Any, status: int, words: str, simulator: Simulator) -> None:
    seen = await ask(simulator, post("/api/embed", body))

    assert (seen.status, json.loads(seen.body)["error"]) == (status, words)
