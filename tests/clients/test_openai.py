"""OpenAI's own clients, unmodified, for Python and JavaScript, newest and a year old: the right object or exception.

They validate each chunk and event by the types that they publish. Bugs that others have, by their number in the design:
1, 2, 4, 8, 9, 12, 14, 15, 20, 21, 22, 23.
"""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from tests.chain import Chain
from tests.client_environment import environment_of, node, packages
from tests.clients.openai_cases import APIS, CASES, Case, facts
from tests.clients.outcome import Row
from tests.clients.programs import AT_MOST, Making, beside_each_other, made
from tests.eventually import eventually

pytestmark = AT_MOST
HERE: Final = Path(__file__).parent
Outcomes = dict[str, dict[str, Any]]
HELPER_FORGETS: Final = ("thinking", "chat")
"""Of JavaScript: its `.stream()` keeps the last piece alone of a field that is not OpenAI's, as `reasoning_content`."""


def _of_python(lock: str) -> Callable[[], list[str]]:
    return lambda: [str(environment_of(lock)), str(HERE / "openai_calls.py")]


def _of_javascript(lock: str) -> Callable[[], list[str]]:
    return lambda: [str(node()), str(HERE / "openai_calls.mjs"), str(packages(lock))]


CLIENTS: Final[dict[str, Callable[[], list[str]]]] = {
    "Python": _of_python("openai"),
    "Python, a year old": _of_python("openai-old"),
    "JavaScript": _of_javascript("openai_javascript"),
    "JavaScript, a year old": _of_javascript("openai_javascript_old"),
}
"""What runs each of them, but for the server's address."""


def seed(client: str, case: Case) -> int:
    """Return what makes a model that nobody else asks."""
    return 1000 * (1 + list(CLIENTS).index(client)) + CASES.index(case)


@pytest.fixture(scope="module", params=CLIENTS)
def client(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def making(chain: Chain) -> Iterator[Making]:
    def make(client: str) -> list[dict[str, Any]]:
        calls = [case.asked(seed(client, case)) for case in CASES]
        return made([*CLIENTS[client](), chain.gateway.url], calls)

    with beside_each_other(CLIENTS, make) as making:
        yield making


@pytest.fixture(scope="module")
def outcomes(client: str, making: Making) -> Outcomes:
    """What came of every call, by one process of the client."""
    return {case.title: outcome for case, outcome in zip(CASES, making[client].result(), strict=True)}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.title)
def test_a_call_gives_the_right_object_or_exception(
    case: Case, client: str, outcomes: Outcomes, chain: Chain, rows: list[Row]
) -> None:
    got = facts(outcomes[case.title])
    rows.append(Row(f"openai, {client}", case.title, "", str(got["exception"] or got["finish"] or "left"), "right"))

    assert {**got, **case.expected} == got, outcomes[case.title]
    if case.calls is not None:
        assert len(chain.calls(case.model_name(seed(client, case)))) == case.calls


@pytest.mark.parametrize("name", sorted({case.name for case in CASES if case.how == "helper"}))
@pytest.mark.parametrize("api", APIS)
def test_what_is_streamed_is_what_the_whole_answer_says(name: str, api: str, client: str, outcomes: Outcomes) -> None:
    """As much thinking and text out as in, and all of the arguments, by every road."""
    whole, stream, helper = (said(outcomes[f"{name}, {api} {how}"]) for how in ("whole", "stream", "helper"))
    if outcomes[f"{name}, {api} whole"]["error"] is not None:
        return
    if client.startswith("JavaScript") and (name, api) == HELPER_FORGETS:
        helper = (helper[0], whole[1], helper[2])

    assert stream == helper == whole


def said(outcome: dict[str, Any]) -> Any:
    calls = [(call["name"], json.loads(call["arguments"])) for call in outcome["calls"]]
    return outcome["text"], outcome["thinking"], calls


@pytest.mark.parametrize("api", APIS)
def test_two_calls_have_ids_of_their_own(api: str, outcomes: Outcomes) -> None:
    for how in ("whole", "stream", "helper"):
        assert len({call["id"] for call in outcomes[f"two tools, {api} {how}"]["calls"]}) == 2


@pytest.mark.parametrize("name", ["an error in the stream", "cut short"])
def test_the_text_before_a_break_was_shown(name: str, outcomes: Outcomes) -> None:
    assert outcomes[f"{name}, chat stream"]["text"]
    assert outcomes[f"{name}, responses stream"]["pieces"] > 4


@pytest.mark.parametrize("api", APIS)
def test_a_client_that_leaves_stops_the_model(api: str, client: str, outcomes: Outcomes, chain: Chain) -> None:
    assert outcomes[f"left in the middle, {api} leave"]["error"] is None
    case = next(case for case in CASES if case.how == "leave" and case.api == api)
    model = case.model_name(seed(client, case))
    eventually(lambda: chain.calls(model)[0]["left_at"], "the model server saw it")

    assert chain.calls(model)[0]["tokens"] < 1000


def test_usage_is_said_of_a_whole_answer_and_unasked_of_no_stream(outcomes: Outcomes) -> None:
    """Of chat: where it is not asked for, a chunk without a choice would break clients."""
    counted = outcomes["text, chat whole"]["usage"]

    assert min(counted) > 0
    assert outcomes["text, chat stream"]["usage"] is None
    assert [outcomes[f"text, responses {how}"]["usage"] for how in ("whole", "stream", "helper")] == [counted] * 3


@pytest.mark.parametrize("api", APIS)
def test_a_refusal_names_its_request_and_what_it_does_not_offer(api: str, outcomes: Outcomes) -> None:
    error = outcomes[f"not offered, {api} whole"]["error"]

    assert error["request_id"]
    assert error["code"] == "unsupported_parameter"
    assert error["param"] == {"chat": "n", "responses": "previous_response_id"}[api]
