"""A refusal of the moment, to every client: by itself it waits as it is told, asks again, and gets the right object.

That it asks once where a repeat cannot help is in the other tables, by how often the model server was asked.
"""

import asyncio
import contextlib
import functools
import json
import os
from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

import pytest

from services.simulator.prose import prose
from services.wire.events import Code
from tests.behaviour.keys_on_disk import KeysOnDisk, bearer, id_of
from tests.chain import Chain, running_chain
from tests.client_environment import environment_of, node, packages
from tests.clients.outcome import Row
from tests.clients.programs import AT_MOST
from tests.eventually import soon
from tests.reader import Client

pytestmark = AT_MOST
HERE: Final = Path(__file__).parent
HELLO: Final = [{"role": "user", "content": "hello"}]
TOKENS: Final = 5
REFUSED_WITHIN_S: Final = 50.0
REFUSALS: Final = {"one answer at a time": Code.CONCURRENCY_LIMITED, "the line is full": Code.OVERLOADED}
"""In this order each client meets them: 429 and 503, with Retry-After."""


class Asking(NamedTuple):
    """How a client is asked: its program, where its packages are, and the calls for one answer."""

    program: str
    lock: str
    how: str
    fields: dict[str, Any] = {}  # noqa: RUF012 a tuple's default is never written

    def command(self) -> list[str]:
        """Return what runs it, but for the server's address; skip where its packages are not there."""
        if self.program.endswith(".mjs"):
            return [str(node()), str(HERE / self.program), str(packages(self.lock))]
        return [str(environment_of(self.lock)), str(HERE / self.program)]

    def call(self, model: str) -> dict[str, Any]:
        """Return one call of its program; LiteLLM retries only as OpenAI's client, which is inside it."""
        own = {} if self.program.startswith("ai_sdk") else {"messages": HELLO}
        return {
            "how": self.how,
            "api": "chat",
            "provider": "openai",
            "arguments": {"model": model, **own, **self.fields},
        }


LONG: Final = {"max_tokens": 100}
CLIENTS: Final = {
    "openai, Python": Asking("openai_calls.py", "openai", "helper"),
    "openai, Python, a year old": Asking("openai_calls.py", "openai-old", "helper"),
    "openai, JavaScript": Asking("openai_calls.mjs", "openai_javascript", "helper"),
    "openai, JavaScript, a year old": Asking("openai_calls.mjs", "openai_javascript_old", "helper"),
    "anthropic, Python": Asking("anthropic_calls.py", "anthropic", "helper", LONG),
    "anthropic, Python, a year old": Asking("anthropic_calls.py", "anthropic-old", "helper", LONG),
    "anthropic, JavaScript": Asking("anthropic_calls.mjs", "javascript", "helper", LONG),
    "anthropic, JavaScript, a year old": Asking("anthropic_calls.mjs", "javascript_old", "helper", LONG),
    "AI SDK": Asking("ai_sdk_calls.mjs", "javascript", "generate"),
    "LangChain": Asking("langchain_openai_calls.py", "langchain-openai", "stream"),
    "LiteLLM": Asking("litellm_calls.py", "litellm", "stream"),
}
Outcomes = dict[str, dict[str, dict[str, Any]]]


def model_of(client: str, refusal: str) -> str:
    """Return a model of one answer's own; where the line is to be full its first call says two words, and no more."""
    stalls = ",fault=stall,at=2,times=1" if refusal == "the line is full" else ""
    return f"sim:tokens={TOKENS},seed={seed_of(client, refusal)}{stalls}"


def seed_of(client: str, refusal: str = "") -> int:
    return 100 * [*REFUSALS, ""].index(refusal) + list(CLIENTS).index(client)


class Full(NamedTuple):
    """A chain in which a model answers one, and nobody waits.

    Attributes:
        keys: of each client, which may have one answer at a time.
        other: somebody else's key.
    """

    chain: Chain
    keys: Mapping[str, str]
    other: str


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Full]:
    on_disk = KeysOnDisk(tmp_path_factory.mktemp("keys"))
    keys, other = {name: on_disk.add(name, streams="1") for name in CLIENTS}, on_disk.add("another")
    patient = {"FIRST_TOKEN_TIMEOUT_S": "60", "IDLE_TIMEOUT_S": "100", "TOTAL_TIMEOUT_S": "200"}
    simulator = {"SCRIPT": "rate=0,pace=0", "NUM_PARALLEL": "64"}
    with running_chain(
        simulator=simulator, proxy={"PERMITS": "1", "QUEUE_LENGTH": "0", **patient}, gateway=on_disk.settings
    ) as chain:
        yield Full(chain, keys, other)


@pytest.fixture(scope="module")
def outcomes(full: Full) -> Outcomes:
    """What came of both calls of each client that is there; they ask beside each other."""

    async def all_of_them() -> Outcomes:
        async with asyncio.TaskGroup() as tasks:
            asking = {name: tasks.create_task(asked(name, full)) for name in CLIENTS}
        return {name: task.result() for name, task in asking.items()}

    return asyncio.run(all_of_them())


async def asked(name: str, full: Full) -> dict[str, dict[str, Any]]:
    """Ask a client for two answers that are refused until whoever is in the way has left; {} if it is not there."""
    try:
        command = CLIENTS[name].command()
    except pytest.skip.Exception:
        return {}
    key, last = full.keys[name], model_of(name, "the line is full")
    calls = [CLIENTS[name].call(model_of(name, refusal)) for refusal in REFUSALS]
    async with (
        contextlib.AsyncExitStack() as first,
        contextlib.AsyncExitStack() as second,
        asyncio.TaskGroup() as tasks,
    ):
        await first.enter_async_context(in_the_way(full, f"sim:fault=stall,at=2,seed={seed_of(name)}", key))
        await second.enter_async_context(in_the_way(full, last, full.other))
        told = tasks.create_task(_output([*command, full.chain.gateway.url], key, calls))
        for way, code in zip((first, second), REFUSALS.values(), strict=True):
            refused = functools.partial(is_refused, full, key, code)
            await soon(refused, f"{name}: {code}", within_s=REFUSED_WITHIN_S)
            await way.aclose()
    return dict(zip(REFUSALS, told.result(), strict=True))


@contextlib.asynccontextmanager
async def in_the_way(full: Full, model: str, key: str) -> AsyncIterator[None]:
    """Have an answer under way."""
    body = {"model": model, "message": "hi"}
    async with (
        Client(full.chain.gateway.url) as client,
        client.open("POST", "/api/chat/stream", body, bearer(key)) as one,
    ):
        await one.until_tokens(1)
        yield


def is_refused(full: Full, key: str, code: Code) -> bool:
    return any(
        line["key_id"] == id_of(key) and line["reason"] == code for line in full.chain.gateway.events("stream.finished")
    )


async def _output(command: list[str], key: str, calls: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Run a client's program, and return what it made of the calls."""
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        *command, stdin=pipe, stdout=pipe, stderr=pipe, env={**os.environ, "API_KEY": key}
    )
    stdout, stderr = await process.communicate(json.dumps(calls).encode())
    assert process.returncode == 0, stderr.decode()
    told: list[dict[str, Any]] = json.loads(stdout[stdout.index(b"[{") :])
    return told


@pytest.mark.parametrize("refusal", REFUSALS)
@pytest.mark.parametrize("client", CLIENTS)
def test_a_client_waits_asks_again_and_gets_its_answer(
    client: str, refusal: str, outcomes: Outcomes, rows: list[Row]
) -> None:
    if not outcomes[client]:
        CLIENTS[client].command()  # skips
    outcome = outcomes[client][refusal]
    said = outcome.get("text") or "".join(block["text"] for block in (outcome.get("message") or {}).get("content", ()))
    rows.append(Row(client, f"retried, {refusal}", "", outcome["error"] or "answered", "right"))

    assert outcome["error"] is None
    assert said == "".join(prose(TOKENS, seed_of(client, refusal)))
