"""Everything a real Ollama was recorded to say comes out of the gateway as it was said, byte for byte.

What is expected is read from the recordings by other code than ours: json and str, no decoder of the chain.
"""

import base64
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest

from services.simulator.recordings import load_all
from tests.behaviour.gate import CASE_GROWTH_BYTES, common_gate
from tests.chain import Chain, running_chain
from tests.reader import Answer, Client

CAPTURES: Final = Path(__file__).parents[1] / "captures"
PACE: Final = 0.02  # fifty times as fast: the longest, 30 s of silence among it, takes 0.6 s
ROUTES: Final = {"/api/chat": "/api/chat/stream", "/api/generate": "/api/generate/stream"}
TAKEN: Final = ("messages", "prompt", "system", "suffix", "tools", "format", "think", "images")
OPTIONS: Final = ("temperature", "top_k", "top_p", "seed", "num_predict", "stop")
BEFORE_ITS_END: Final = "FIN by server before the end of the body"


@dataclass(frozen=True)
class Recording:
    """One exchange as the file has it: ``said`` are the objects of its lines."""

    name: str
    path: str
    asked: Mapping[str, Any]
    said: list[dict[str, Any]]
    end: str

    @property
    def parts(self) -> list[dict[str, Any]]:
        """Where the text stands: in the message, or in the line."""
        return [line.get("message", line) for line in self.said if "error" not in line]

    @property
    def text(self) -> str:
        return "".join(part.get("content", part.get("response", "")) for part in self.parts)

    @property
    def thinking(self) -> str:
        return "".join(part.get("thinking", "") for part in self.parts)

    @property
    def tool_calls(self) -> list[tuple[str, Any]]:
        calls = [call["function"] for part in self.parts for call in part.get("tool_calls", ())]
        return [(call["name"], call["arguments"]) for call in calls]

    @property
    def reason(self) -> str:
        """The finish reason or error code that PROTOCOL.md has for how it ended."""
        last = self.said[-1]
        if "error" in last:
            return "upstream_error"
        if not last.get("done"):
            return "upstream_disconnected" if self.end == BEFORE_ITS_END else "upstream_truncated"
        return "tool_calls" if self.tool_calls and last["done_reason"] == "stop" else str(last["done_reason"])


def recording(path: Path) -> Recording | None:
    """Return the recording in ``path`` if it is of a streamed answer with status 200 to a prompt."""
    first, *reads, last = [json.loads(line) for line in path.read_text().split("\n") if line]
    request, response = first["request"], first["response"] or {"status": "none"}
    if request["path"] not in ROUTES or request["method"] != "POST" or " 200" not in response["status"]:
        return None
    asked = body_of(request["body"])
    if not (asked.get("prompt") or asked.get("messages")) or asked.get("stream") is False:
        return None
    body = b"".join(
        base64.b64decode(read["chunk_b64"]) if "chunk_b64" in read else read["chunk"].encode() for read in reads
    )
    said = [json.loads(line) for line in body.decode().split("\n") if line]
    return Recording(first["case"], request["path"], asked, said, last["end"])


def body_of(body: Any) -> dict[str, Any]:
    """Return a recorded body, its keys in lower case as Ollama takes them; one is text with garbage behind it."""
    parsed = json.JSONDecoder().raw_decode(body)[0] if isinstance(body, str) else body
    return {key.lower(): value for key, value in parsed.items()}


RECORDINGS: Final = [found for path in sorted(CAPTURES.glob("*.jsonl")) if (found := recording(path)) is not None]


@pytest.fixture(scope="module")
def chain() -> Iterator[Chain]:
    with (
        running_chain(simulator={"SCRIPT": "rate=0"}, log_level="debug") as chain,
        common_gate(chain, growth_bytes=CASE_GROWTH_BYTES),
    ):
        yield chain


@pytest.fixture(scope="module")
def counted() -> Iterator[dict[str, tuple[int, str]]]:
    """Collect how many events each replay put into the log, and its end; print the list at the end (pytest -s)."""
    counted: dict[str, tuple[int, str]] = {}
    yield counted
    print(*(f"{name:45}{events:6}  {reason}" for name, (events, reason) in counted.items()), sep="\n")


def request_for(recorded: Recording) -> dict[str, Any]:
    """The recorded request in the gateway's fields; the name of the model selects the recording."""
    taken = {name: recorded.asked[name] for name in TAKEN if name in recorded.asked}
    options = {name: value for name, value in recorded.asked.get("options", {}).items() if name in OPTIONS}
    if isinstance(options.get("num_predict"), float):  # Ollama cuts it down, the gateway refuses it
        options["num_predict"] = int(options["num_predict"])
    return {**taken, "model": f"{recorded.name}:pace={PACE}", "options": options}


@pytest.mark.parametrize("recorded", RECORDINGS, ids=lambda recorded: recorded.name)
async def test_a_recorded_answer_comes_out_of_the_gateway_as_it_was(
    recorded: Recording, client: Client, counted: dict[str, tuple[int, str]]
) -> None:
    answer = await client.ask(ROUTES[recorded.path], request_for(recorded))
    counted[recorded.name] = (answer.last_number, end_of(answer))

    assert end_of(answer) == recorded.reason
    assert (answer.text, answer.thinking) == (recorded.text, recorded.thinking)
    assert [(call["name"], call["arguments"]) for call in answer.tool_calls] == recorded.tool_calls
    assert all(call["call_id"] for call in answer.tool_calls)


def end_of(answer: Answer) -> str:
    return answer.reason if answer.status == 200 else str(answer.error["code"])


@pytest.mark.parametrize(
    "recorded", [one for one in RECORDINGS if one.said[-1].get("done")], ids=lambda recorded: recorded.name
)
async def test_the_numbers_of_a_recorded_answer_are_the_recorded_ones(recorded: Recording, client: Client) -> None:
    """`usage` is Ollama's final line; `chunks` and `bytes` are counted on the way."""
    answer = await client.ask(ROUTES[recorded.path], request_for(recorded))
    done, last = answer.data[-1], recorded.said[-1]
    with_text = sum(bool(part.get("content") or part.get("response")) for part in recorded.parts)
    with_thoughts = sum(bool(part.get("thinking")) for part in recorded.parts)

    assert done["usage"] == {"input_tokens": last.get("prompt_eval_count"), "output_tokens": last.get("eval_count")}
    assert done["bytes"] == len((recorded.text + recorded.thinking).encode())
    assert done["chunks"] == with_text + with_thoughts + len(recorded.tool_calls)
    assert "skipped_lines" not in done


def test_no_recording_of_a_streamed_answer_to_a_prompt_is_left_out() -> None:
    """By name: what loads or unloads has no prompt, and some answers were asked for whole."""
    answered = {name for name, one in load_all(CAPTURES).items() if one.status == 200}
    whole = {name for name in answered if name.endswith("_nostream")} | {"generate_case_insensitive_keys"}
    without_prompt = {
        name for name in answered if "_load_" in name or name.startswith(("chat_unload", "generate_unload"))
    }

    assert {recorded.name for recorded in RECORDINGS} == answered - whole - without_prompt


def test_the_recordings_end_in_every_way_that_an_answer_of_ollama_can_end() -> None:
    kinds = {recorded.reason for recorded in RECORDINGS}

    assert kinds == {"stop", "length", "tool_calls", "upstream_error", "upstream_disconnected", "upstream_truncated"}
    assert any(recorded.thinking for recorded in RECORDINGS)
