"""LiteLLM's proxy as a model server: OpenAI's language and Anthropic's, spoken by somebody who is neither they nor we.

    simulator <- LiteLLM, in an environment of its own <- a proxy with two servers, both of them it

No oracle of truncation: of a cut answer it makes a finished one (litellm#40260).
"""

import json
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest

from tests.bench.contender import clean_environ, process, wait_for_answer
from tests.bench.litellm import ENVIRON, START_S
from tests.chain import Server
from tests.client_environment import environment_of
from tests.clients.calls import CLOCK
from tests.eventually import soon
from tests.ports import free_port
from tests.reader import Answer, Client

pytestmark = pytest.mark.timeout(START_S + 60.0)

LONG: Final = "sim:tokens=2000,rate=50"
MODELS: Final = {"story": "story", "thinker": "thinker", "tooler": "tooler", "long": LONG}
"""The simulator's by LiteLLM's names, which may hold no comma: it would ask two models at once."""
KINDS: Final = {"openai": "/v1", "anthropic": ""}
NATIVE: Final = {"Accept": "text/event-stream;dialect=native"}


@dataclass(frozen=True)
class Stage:
    """What runs."""

    simulator: Server
    proxy: Server

    async def ask(self, model: str, **fields: Any) -> Answer:
        async with Client(self.proxy.url) as client:
            return await client.ask("/api/chat/stream", asked(model, **fields), NATIVE)

    async def direct(self, model: str, **fields: Any) -> dict[str, Any]:
        """Return the message of the simulator's own answer."""
        async with Client(self.simulator.url) as client:
            answer = await client.ask("/api/chat", asked(model, **fields, stream=False))
        message: dict[str, Any] = json.loads(answer.body)["message"]
        return message


def asked(model: str, **fields: Any) -> dict[str, Any]:
    return {"model": model, "messages": [{"role": "user", "content": "hello"}], **fields}


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    python = environment_of("litellm_proxy")
    folder, port = tmp_path_factory.mktemp("stage"), free_port()
    with ExitStack() as stack:
        simulator = Server(
            "services.simulator", {"SLUICE_SIMULATOR_LISTEN": "127.0.0.1:0", "SLUICE_SIMULATOR_SCRIPT": "rate=0"}
        )
        stack.callback(simulator.stop)
        configuration, log = folder / "litellm.yaml", folder / "litellm.log"
        configuration.write_text(litellm_configuration(simulator.url))
        started = [
            str(python),
            str(python.with_name("litellm")),
            "--config",
            str(configuration),
            "--host",
            "127.0.0.1",
            "--port",
            str(port),
        ]
        child = stack.enter_context(process(started, log=log, cwd=folder, environ={**clean_environ(), **ENVIRON}))
        wait_for_answer(f"http://127.0.0.1:{port}/health/liveliness", child, log, within_s=START_S)
        (folder / "key").write_text("sk-1234")
        (folder / "sluice.toml").write_text(our_configuration(port, folder / "key"))
        own = dict.fromkeys(("SLUICE_PROXY_LISTEN", "SLUICE_PROXY_METRICS_LISTEN"), "127.0.0.1:0")
        proxy = Server("proxy", {**own, "SLUICE_PROXY_CONFIG": str(folder / "sluice.toml")})
        stack.callback(proxy.stop)
        yield Stage(simulator, proxy)


def litellm_configuration(simulator: str) -> str:
    models = (
        f'  - model_name: {name}\n    litellm_params: {{model: "ollama_chat/{model}", api_base: "{simulator}"}}\n'
        for name, model in MODELS.items()
    )
    return "model_list:\n" + "".join(models)


def our_configuration(port: int, key: Path) -> str:
    servers = (
        f"""
[[server]]
name = "{kind}"
kind = "{kind}"
url = "http://127.0.0.1:{port}{base}"
key_file = "{key}"
models = {{ {", ".join(f'"{kind}-{name}" = "{name}"' for name in MODELS)} }}
"""
        for kind, base in KINDS.items()
    )
    chains = (f'"{kind}-{name}" = ["{kind}"]\n' for kind in KINDS for name in MODELS)
    return "".join(servers) + '[chain]\ndefault = ["openai"]\n' + "".join(chains)


@pytest.mark.parametrize("kind", KINDS)
async def test_text_is_the_model_s_to_its_last_word(kind: str, stage: Stage) -> None:
    answer, direct = await stage.ask(f"{kind}-story"), await stage.direct("story")

    assert (answer.text, answer.reason) == (direct["content"], "stop")
    assert answer.end is not None
    assert answer.end["served_by"]["provider"] == kind
    assert answer.end["usage"]["output_tokens"] > 0


@pytest.mark.parametrize("kind", KINDS)
async def test_a_tool_is_called_with_its_arguments(kind: str, stage: Stage) -> None:
    answer, direct = (
        await stage.ask(f"{kind}-tooler", tools=[CLOCK]),
        await stage.direct("tooler", tools=[CLOCK]),
    )

    assert [(call["name"], call["arguments"]) for call in answer.tool_calls] == [
        (call["function"]["name"], call["function"]["arguments"]) for call in direct["tool_calls"]
    ]
    assert answer.reason == "tool_calls"


@pytest.mark.parametrize("kind", KINDS)
async def test_thoughts_are_told_apart_from_the_text(kind: str, stage: Stage) -> None:
    answer, direct = await stage.ask(f"{kind}-thinker", think=True), await stage.direct("thinker", think=True)

    assert (answer.thinking, answer.text) == (direct["thinking"], direct["content"])


@pytest.mark.parametrize("kind", KINDS)
async def test_an_answer_that_its_length_cut_says_so(kind: str, stage: Stage) -> None:
    answer = await stage.ask(f"{kind}-story", options={"num_predict": 3})

    assert answer.reason == "length"
    assert answer.text


@pytest.mark.parametrize("kind", KINDS)
async def test_who_leaves_stops_the_model_behind_it(kind: str, stage: Stage) -> None:
    def witnessed() -> list[dict[str, Any]]:
        _, body = stage.simulator.get("/simulator/witness")
        calls: list[dict[str, Any]] = json.loads(body)["calls"]
        return [call for call in calls if call["model"] == LONG]

    before, question = len(witnessed()), asked(f"{kind}-long")
    async with Client(stage.proxy.url) as client, client.open("POST", "/api/chat/stream", question, NATIVE) as reading:
        answer = await reading.until_tokens(5)
        reading.leave()
    assert answer.text

    def is_left() -> bool:
        calls = witnessed()[before:]
        return len(calls) == 1 and calls[0]["left_at"] is not None

    await soon(is_left, "the model was left")
