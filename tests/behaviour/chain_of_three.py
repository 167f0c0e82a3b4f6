"""The chain that people are promised: the simulator, then Groq, then Gemini, the two of them scripted and behind TLS.

``python -m tests.behaviour.chain_of_three`` asks it with each way in which the first may fail and each in which the
second may, and prints who answered, after how long, and what a client saw.
"""

import asyncio
import ssl
import tempfile
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tests.behaviour.several_servers import (
    KEY,
    NATIVE,
    Answer,
    ModelServer,
    Proxy,
    a_proxy,
    frames,
    said,
    serving,
    spoken,
)
from tests.certificate import make_certificate
from tests.chain import Server
from tests.eventually import soon
from tests.ports import free_port
from tests.reader import Client

FIRST_TOKEN_S: Final = 0.5
FIRST: Final[Mapping[str, tuple[str, str]]] = {
    "is stopped": ("stopped", "refused"),
    "answers garbage": ("sim:fault=garbage", "malformed"),
    "is broken": ("sim:status=500", "5xx"),
    "is busy": ("sim:fault=queue_full", "5xx"),
    "is limited": ("sim:status=429", "429"),
    "lacks the model": ("nobody-has-this", "404"),
    "is mute": ("sim:fault=mute", "first_token"),
    "says an error": ("sim:fault=error,at=0", "error"),
}
"""How the first fails: by which model, and in which word it is told."""
SECOND: Final[Mapping[str, tuple[Answer, str]]] = {
    "refuses its key": (said(401, {"error": {"message": f"no such key {KEY}"}}), "401"),
    "has no quota": (said(429, {"error": {"message": "no", "code": "insufficient_quota"}}), "quota"),
    "breaks before content": (
        said(200, b'data: {"error":{"message":"overloaded","type":"server_error"}}\n\n', "text/event-stream"),
        "error",
    ),
    "is silent": (None, "first_token"),
}
GROQ_SAYS: Final = spoken("from ", "groq")
GEMINI_SAYS: Final = said(
    200,
    frames(
        {"candidates": [{"content": {"parts": [{"text": "from "}]}}]},
        {
            "candidates": [{"content": {"parts": [{"text": "gemini"}]}, "finishReason": "STOP"}],
            "usageMetadata": {"promptTokenCount": 3, "candidatesTokenCount": 2, "totalTokenCount": 5},
        },
    ),
    "text/event-stream",
)
GEMINI_BUSY: Final = said(503, {"error": {"code": 503, "message": "overloaded", "status": "UNAVAILABLE"}})


@dataclass
class Three:
    """The proxy before them, the two in the cloud, and a client."""

    proxy: Proxy
    groq: ModelServer
    gemini: ModelServer
    client: Client

    async def ask(self, model: str) -> tuple[Any, float]:
        """Return the answer, and after how many seconds it was whole."""
        began = time.monotonic()
        messages = [{"role": "user", "content": "hi"}]
        answer = await self.client.ask("/api/chat/stream", {"model": model, "messages": messages}, NATIVE)
        return answer, time.monotonic() - began


@asynccontextmanager
async def three(
    folder: Path,
    certificate: tuple[Path, ssl.SSLContext],
    simulator: str,
    *,
    groq: Answer = GROQ_SAYS,
    gemini: Answer = GEMINI_SAYS,
) -> AsyncIterator[Three]:
    """Run a proxy before a running simulator and the two."""
    cert, tls = certificate
    (folder / "key").write_text(KEY)
    async with AsyncExitStack() as stack:
        second = await stack.enter_async_context(serving(ModelServer(groq), tls))
        third = await stack.enter_async_context(serving(ModelServer(gemini), tls))
        chains = "".join(
            f'"{model}" = ["sim", "groq", "gemini"]\n' for model, _ in FIRST.values() if model != "stopped"
        )
        text = f"""
[[server]]
name = "sim"
kind = "ollama"
url = "{simulator}"
[[server]]
name = "stopped"
kind = "ollama"
url = "http://127.0.0.1:{free_port()}"
[[server]]
name = "groq"
kind = "groq"
url = "https://localhost:{second.port}/openai/v1"
key_file = "{folder / "key"}"
models = {{ "*" = "llama-3.3-70b" }}
[[server]]
name = "gemini"
kind = "gemini"
url = "https://localhost:{third.port}"
key_file = "{folder / "key"}"
models = {{ "*" = "gemini-2.5-flash" }}
[defaults]
first_token_timeout_s = {FIRST_TOKEN_S}
ca_file = "{cert}"
[chain]
default = ["sim", "groq", "gemini"]
stopped = ["stopped", "groq", "gemini"]
{chains}
"""
        proxy = await stack.enter_async_context(a_proxy(folder / "sluice.toml", text))
        client = await stack.enter_async_context(Client(proxy.url))
        await soon(lambda: second.asked and third.asked, "their keys were checked")
        yield Three(proxy, second, third, client)


def seen(answer: Any) -> str:
    """Return what a client saw of an answer, in a line."""
    phases = [f"{data['phase']} {data.get('server', '')}".strip() for data in answer.data if "phase" in data]
    error = answer.error if answer.status != 200 else (answer.end or {}).get("error")
    said = f"{answer.status} {error['code']}: {error['message']}" if error else repr(answer.text)
    return ", ".join([*dict.fromkeys(phases), said])


async def _main() -> None:
    simulator = Server(
        "services.simulator", {"SLUICE_SIMULATOR_LISTEN": "127.0.0.1:0", "SLUICE_SIMULATOR_SCRIPT": "rate=0"}
    )
    try:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            await _table(folder, make_certificate(folder), simulator.url)
    finally:
        simulator.stop()


async def _table(folder: Path, certificate: tuple[Path, ssl.SSLContext], simulator: str) -> None:
    print("| the first | the second | answered by | attempts | whole after | what the client saw |")
    print("|---|---|---|---|---|---|")
    for first, (model, _) in FIRST.items():
        for second, groq in {"answers": GROQ_SAYS, **{how: answer for how, (answer, _) in SECOND.items()}}.items():
            async with three(folder, certificate, simulator, groq=groq) as scene:
                answer, took_s = await scene.ask(model)
            served = (answer.end or {}).get("served_by", {})
            who, attempts = served.get("server", "nobody"), served.get("attempts", "")
            print(f"| {first} | {second} | {who} | {attempts} | {1000 * took_s:.0f} ms | {seen(answer)} |")
    for second, (groq, _) in SECOND.items():
        async with three(folder, certificate, simulator, groq=groq, gemini=GEMINI_BUSY) as scene:
            answer, took_s = await scene.ask("sim:status=500")
        print(f"| is broken | {second}; the third is busy | nobody | | {1000 * took_s:.0f} ms | {seen(answer)} |")


if __name__ == "__main__":
    asyncio.run(_main())
