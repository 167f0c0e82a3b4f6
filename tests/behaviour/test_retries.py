"""Who is asked again, when, and how often: the retry rule of ARCHITECTURE.md, counted at the model server."""

import asyncio
import itertools
from typing import Any, Final

import pytest

from services.simulator.prose import prose
from tests.chain import Chain
from tests.reader import Client

MOST_ATTEMPTS: Final = 3
FIRST_WAIT_S: Final = 0.25
EARLY_S: Final = 0.005  # libuv counts whole milliseconds, from the beginning of a turn of the loop
LEAST_WAIT_S: Final = 0.75 * FIRST_WAIT_S - EARLY_S  # the jitter is a quarter


def text_of(tokens: int) -> str:
    return "".join(prose(tokens))


def waits(calls: list[dict[str, Any]]) -> list[float]:
    """The seconds between the end of each call and the beginning of the next."""
    return [later["opened_at"] - earlier["closed_at"] for earlier, later in itertools.pairwise(calls)]


@pytest.mark.clock
async def test_a_busy_model_server_is_asked_three_times_and_then_the_code_is_told(chain: Chain, client: Client) -> None:
    """U9: over within the second before the headers leave, so the reader gets an HTTP status."""
    told = {
        "sim:status=500": (502, "upstream_error"),
        "sim:status=502": (503, "upstream_unavailable"),
        "sim:status=503": (503, "upstream_unavailable"),
        "sim:status=429": (503, "upstream_unavailable"),
        "sim:fault=queue_full": (503, "upstream_unavailable"),
    }
    answers = await asyncio.gather(*(client.chat(model) for model in told))
    calls = [chain.calls(model) for model in told]
    backoffs = [waits(attempts) for attempts in calls]

    assert [(answer.status, answer.error["code"]) for answer in answers] == list(told.values())
    assert all(answer.error["retryable"] for answer in answers)
    assert [len(attempts) for attempts in calls] == [MOST_ATTEMPTS] * len(told)
    for first_s, second_s in backoffs:
        assert LEAST_WAIT_S <= first_s < 2 * FIRST_WAIT_S
        assert 2 * LEAST_WAIT_S <= second_s < 4 * FIRST_WAIT_S


async def test_a_model_server_that_recovers_gives_the_answer_and_the_attempts_are_told(
    chain: Chain, client: Client
) -> None:
    """U9: the reader sees one stream and no error."""
    trouble = ["status=500", "status=502", "status=503", "status=429", "fault=queue_full"]
    models = [f"sim:tokens=5,{instead},times=2" for instead in trouble]
    answers = await asyncio.gather(*(client.chat(model) for model in models))

    assert [(answer.reason, answer.text) for answer in answers] == [("stop", text_of(5))] * len(models)
    assert [answer.data[-1]["served_by"] for answer in answers] == [
        {"provider": "ollama", "model": model, "attempts": MOST_ATTEMPTS} for model in models
    ]
    assert [len(chain.calls(model)) for model in models] == [MOST_ATTEMPTS] * len(models)


async def test_an_answer_that_breaks_before_its_first_line_is_asked_for_again(chain: Chain, client: Client) -> None:
    faults = ["reset", "close", "until_close_cut", "truncate", "length_cut", "refuse"]
    models = [f"sim:tokens=5,fault={fault},at=0,times=2" for fault in faults]
    answers = await asyncio.gather(*(client.chat(model) for model in models))

    assert [(answer.reason, answer.text) for answer in answers] == [("stop", text_of(5))] * len(models)
    assert [len(chain.calls(model)) for model in models] == [3] * len(models)


@pytest.mark.parametrize("fault", ["reset", "close", "cut", "truncate", "error", "until_close_cut", "length_cut"])
async def test_after_the_first_content_nobody_is_asked_again(fault: str, chain: Chain, client: Client) -> None:
    """P2: a second answer would be shown as the end of the first."""
    model = f"sim:tokens=5,fault={fault},at=1,times=1"
    answer = await client.chat(model)

    assert answer.end is not None
    assert (answer.end["type"], answer.text) == ("error", text_of(1))
    assert len(chain.calls(model)) == 1


async def test_at_most_one_generation_runs_while_attempts_are_repeated(chain: Chain, client: Client) -> None:
    """The previous connection is closed before the next call is made."""
    models = [f"sim:tokens=5,seed={seed},fault=reset,at=0,times=2" for seed in range(10)]
    answers = await asyncio.gather(*(client.chat(model) for model in models))
    seen = chain.witness()["models"]

    assert [answer.reason for answer in answers] == ["stop"] * 10
    assert [seen[model]["most_calls"] for model in models] == [1] * 10


@pytest.mark.clock
async def test_retry_after_is_honoured(chain: Chain, client: Client) -> None:
    """U9: the server knows better than our back-off when it will be ready."""
    model = "sim:tokens=5,status=503,retry_after=2,times=1"
    answer = await client.chat(model)
    (wait_s,) = waits(chain.calls(model))

    assert (answer.reason, answer.text) == ("stop", text_of(5))
    assert 2.0 - EARLY_S <= wait_s < 3.0
    assert "retrying" in [data["phase"] for data in answer.data if data.get("type") == "status"]


async def test_a_retry_after_of_more_than_ten_seconds_ends_the_attempts(chain: Chain, client: Client) -> None:
    """U9: its caller decides better than we do whether to wait so long."""
    model = "sim:status=503,retry_after=11"
    answer = await client.chat(model)

    assert (answer.status, answer.error["code"]) == (503, "upstream_unavailable")
    assert int(answer.headers["Retry-After"]) >= 1
    assert len(chain.calls(model)) == 1


@pytest.mark.clock
async def test_a_pooled_connection_that_dies_is_replaced_at_once_and_beyond_the_attempts(
    chain: Chain, client: Client
) -> None:
    """A POST that dies before any byte on a pooled connection was never taken: it counts as no attempt, once."""
    await asyncio.gather(*(client.chat("sim:tokens=3,rate=50") for _ in range(5)))  # several connections wait now
    once, always = "sim:tokens=5,fault=refuse,times=1", "sim:tokens=5,fault=refuse"
    answer, refused = await asyncio.gather(client.chat(once), client.chat(always))
    stale_wait_s, *later_s = waits(chain.calls(always))

    assert (answer.reason, answer.text, answer.data[-1]["served_by"]["attempts"]) == ("stop", text_of(5), 1)
    assert waits(chain.calls(once))[0] < LEAST_WAIT_S
    assert (refused.status, refused.error["code"]) == (502, "upstream_disconnected")
    assert stale_wait_s < LEAST_WAIT_S
    assert [wait_s >= LEAST_WAIT_S for wait_s in later_s] == [True, True]


async def test_a_missing_model_and_a_bad_request_are_told_as_they_are_after_one_call(
    chain: Chain, client: Client
) -> None:
    """U10: asking again would change nothing."""
    missing, bad = await asyncio.gather(client.chat("nobody"), client.chat("sim:status=400"))

    assert (missing.status, missing.error["code"]) == (404, "model_not_found")
    assert (bad.status, bad.error["code"]) == (400, "invalid_request")
    assert bad.error["message"] == "the simulator was told to answer 400"
    assert [len(chain.calls(model)) for model in ("nobody", "sim:status=400")] == [1, 1]


@pytest.mark.parametrize("status", [401, 403, 405, 409, 413, 422, 451])
async def test_another_refusal_of_the_client_kind_is_an_error_that_nobody_repeats(
    status: int, chain: Chain, client: Client
) -> None:
    model = f"sim:status={status}"
    answer = await client.chat(model)

    assert (answer.status, answer.error["code"], answer.error["retryable"]) == (502, "upstream_error", False)
    assert len(chain.calls(model)) == 1
