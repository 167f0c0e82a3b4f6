"""The providers' own packages, and our adapters, at the same bytes: the same text, calls and usage.

openai, groq, anthropic and google-genai (tests/clients/provider_packages_calls.py), in an environment of their own; the
recordings of the real services take part where they are.
"""

import json
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final

import pytest

from services.wire.events import FinishReason, Thinking
from tests.client_environment import environment_of
from tests.proxy.providers import test_anthropic, test_gemini, test_openai
from tests.proxy.providers.cloud_speech import RECORDINGS, Told, crlf_frames, fed, frames, named_frames
from tests.proxy.providers.test_cloud_recordings import ROWS, body_of

PROGRAM: Final = Path(__file__).parent / "provider_packages_calls.py"
ASK_TIMEOUT_S: Final = 100.0
FINISHES: Final = {
    "stop": FinishReason.STOP,
    "length": FinishReason.LENGTH,
    "tool_calls": FinishReason.TOOL_CALLS,
    "end_turn": FinishReason.STOP,
    "tool_use": FinishReason.TOOL_CALLS,
    "max_tokens": FinishReason.LENGTH,
    "refusal": FinishReason.CONTENT_FILTER,
    "STOP": FinishReason.STOP,
    "MAX_TOKENS": FinishReason.LENGTH,
}
"""The packages' words for the finish; a stop behind a call is our call of tools."""
SCHOOL: Final = {
    "text": frames(*(chunk for chunk in test_openai.SAYS["text"][0]), test_openai.STOP, test_openai.USAGE),
    "reasoning": frames(*test_openai.SAYS["reasoning_content"][0], test_openai.STOP, test_openai.USAGE),
    "length": frames(test_openai.chunk(content="a"), test_openai.chunk("length"), test_openai.USAGE),
    **{
        name: frames(*test_openai.CALLS[name][0], test_openai.chunk("tool_calls"), test_openai.USAGE)
        for name in ("in parts", "whole", "one after the other", "interleaved", "no arguments")
    },
}
EXCHANGES: Final[dict[str, bytes]] = {
    **{f"{school}/{name}": body for school in ("openai", "groq") for name, body in SCHOOL.items()},
    **{
        f"anthropic/{name}": named_frames(
            test_anthropic.WHOLE_START,
            *test_anthropic.SAYS[name][0],
            *test_anthropic.stopped("tool_use" if "call" in name else "end_turn"),
            test_anthropic.STOP,
        )
        for name in ("text", "a thought and its seal", "two calls", "a call without arguments")
    },
    **{
        f"gemini/{name}": crlf_frames(*test_gemini.SAYS[name][0], test_gemini.STOP)
        for name in ("text", "thoughts", "a seal on the last text", "a sealed call", "calls in one chunk and in two")
    },
}


class _Scripted(BaseHTTPRequestHandler):
    """Answers each path with the bytes of the exchange that it begins with, whatever it is asked."""

    bodies: dict[str, bytes]

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        body = self.bodies["/".join(self.path.split("/")[1:3])]
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.end_headers()
        for at in range(0, len(body), 100):
            self.wfile.write(body[at : at + 100])

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def bodies() -> dict[str, bytes]:
    """Every exchange by a name that can be a path: its provider and a number."""
    recorded = {name: body_of(name) for name in ROWS} if RECORDINGS.exists() else {}
    named = enumerate((EXCHANGES | recorded).items())
    return {f"{name.partition('/')[0]}/{number}": body for number, (name, body) in named}


@pytest.fixture(scope="module")
def server(bodies: dict[str, bytes]) -> Iterator[str]:
    handler = type("Scripted", (_Scripted,), {"bodies": bodies})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as listening:
        threading.Thread(target=listening.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{listening.server_port}"
        listening.shutdown()


def ours(answer: Told) -> dict[str, Any]:
    end = answer.completion
    usage = None if end.usage is None else [end.usage.input_tokens, end.usage.output_tokens]
    calls = [[call.name, dict(call.arguments)] for call in answer.calls]
    texts = {"text": answer.text(), "thinking": answer.text(Thinking)}
    return {**texts, "calls": calls, "usage": usage, "reason": end.reason}


def theirs(said: list[Any]) -> dict[str, Any]:
    text, thinking, calls, usage, finish = said
    reason = FINISHES[finish]
    if reason is FinishReason.STOP and calls:
        reason = FinishReason.TOOL_CALLS
    return {"text": text, "thinking": thinking, "calls": calls, "usage": usage, "reason": reason}


@pytest.mark.timeout(ASK_TIMEOUT_S + 20)
def test_the_packages_and_the_adapters_read_the_same_from_the_same_bytes(server: str, bodies: dict[str, bytes]) -> None:
    done = subprocess.run(
        [environment_of("provider_packages"), PROGRAM, server],
        input=json.dumps([*bodies]),
        check=True,
        capture_output=True,
        text=True,
        timeout=ASK_TIMEOUT_S,
    )
    said = {name: theirs(answer) for name, answer in json.loads(done.stdout).items()}

    assert said == {name: ours(fed(name.partition("/")[0], [body])) for name, body in bodies.items()}
    assert len(said) >= len(EXCHANGES)
