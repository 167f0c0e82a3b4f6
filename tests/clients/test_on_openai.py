"""What is built on OpenAI's APIs, unmodified, at the gateway: LangChain on both of them, LiteLLM on the older one.

The newest, and those of a year before.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from tests.chain import Chain
from tests.client_environment import environment_of
from tests.clients.openai_cases import CASES, WRONG, Case, facts
from tests.clients.outcome import Row
from tests.clients.programs import AT_MOST, Making, beside_each_other, made
from tests.eventually import eventually

pytestmark = AT_MOST
HERE: Final = Path(__file__).parent
PROGRAMS: Final = {
    "langchain-openai": "langchain_openai_calls.py",
    "langchain-openai-old": "langchain_openai_calls.py",
    "litellm": "litellm_calls.py",
    "litellm-old": "litellm_calls.py",
}
LEFT_OUT: Final = {"not offered", "thinking"}
"""LangChain cannot be made to ask for several answers by chance, nor shows what other servers' models think."""


CANNOT_LEAVE: Final = "litellm-old"
"""What it gives to iterate over cannot be closed: it reads to the end."""


def asked_of(client: str) -> list[Case]:
    """Return the cases of a client."""
    apis = ("chat",) if client.startswith("litellm") else ("chat", "responses")
    ways = {"whole", "stream"} if client == CANNOT_LEAVE else {"whole", "stream", "leave"}
    return [case for case in CASES if case.api in apis and case.how in ways and case.name not in {*LEFT_OUT, *WRONG}]


PAIRS: Final = [(client, case) for client in PROGRAMS for case in asked_of(client)]


@pytest.fixture(scope="module")
def making(chain: Chain) -> Iterator[Making]:
    def make(client: str) -> list[dict[str, Any]]:
        command = [str(environment_of(client)), str(HERE / PROGRAMS[client]), chain.gateway.url]
        return made(command, [asked(client, one) for one in asked_of(client)])

    with beside_each_other(PROGRAMS, make) as making:
        yield making


def asked(client: str, case: Case) -> dict[str, Any]:
    """Return a call in the form of a chat, whatever API it is to go by."""
    as_chat = Case(case.name, case.model, "chat", case.how, case.fields).asked(seed(client, case))
    return {**as_chat, "api": case.api}


def seed(client: str, case: Case) -> int:
    """Return what makes a model that nobody else asks."""
    return 10_000 + 1000 * list(PROGRAMS).index(client) + CASES.index(case)


@pytest.mark.parametrize(("client", "case"), PAIRS, ids=lambda value: getattr(value, "title", value))
def test_a_call_gives_the_right_message_or_exception(client: str, case: Case, making: Making, rows: list[Row]) -> None:
    outcome = making[client].result()[asked_of(client).index(case)]
    got = facts(outcome)
    rows.append(Row(client, case.title, "", str(got["exception"] or got["finish"]), "right"))
    expected = {name: value for name, value in case.expected.items() if name not in {"code", "exception"}}

    assert {**got, **expected} == got, outcome


@pytest.mark.parametrize(("client", "case"), [pair for pair in PAIRS if pair[1].how == "leave"], ids=str)
def test_who_leaves_a_stream_stops_its_model(client: str, case: Case, making: Making, chain: Chain) -> None:
    making[client].result()
    model = case.model_name(seed(client, case))
    eventually(lambda: chain.calls(model)[0]["left_at"], "the model server saw it")

    assert chain.calls(model)[0]["tokens"] < 1000
