"""What arrives is not what was agreed, from the model server and from the client: cases M of docs/faults.md."""

import asyncio
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import hypothesis
import pytest
from hypothesis import strategies as st

from proxy.providers.adapter import Question
from proxy.providers.ollama import OllamaAdapter
from proxy.streams.log import StreamLog
from services.simulator.prose import pieces, prose
from services.simulator.speech import SELF, STORY
from services.wire.request import ChatRequest, GenerateRequest
from services.wire.sse import SseDecoder
from tests.behaviour.gate import CASE_GROWTH_BYTES, common_gate
from tests.chain import Chain, Server, running_chain
from tests.reader import Answer, Client

MIB: Final = 1 << 20
BODY_BYTES: Final = MIB  # small beside the growth that the gate allows; test_client_faults.py has the default
CAPTURES: Final = Path(__file__).parents[1] / "captures"
ODD: Final = "generate_odd_characters"
LINE_ENDS: Final = "line_ends"
BREAKS: Final = "a\u2028b\u2029c\x85d\x0be\x0cf\x1cg\x1dh\x1ei\rj\nk\x00l"
JSON: Final = {"Content-Type": "application/json"}


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chain]:
    folder = tmp_path_factory.mktemp("recordings")
    (folder / f"{ODD}.jsonl").write_bytes((CAPTURES / f"{ODD}.jsonl").read_bytes())
    (folder / f"{LINE_ENDS}.jsonl").write_text(recording_of(BREAKS))
    simulator = {"SCRIPT": "rate=0", "NUM_PARALLEL": "64", "CAPTURES": str(folder)}
    with (
        running_chain(simulator=simulator, gateway={"BODY_BYTES": str(BODY_BYTES)}, log_level="debug") as chain,
        common_gate(chain, growth_bytes=CASE_GROWTH_BYTES),
    ):
        yield chain


def recording_of(text: str) -> str:
    """A recording, in the form of tests/captures/README.md, of one line that holds ``text``, and the last word."""
    lines = [{"response": text, "done": False}, {"response": "", "done": True, "done_reason": "stop"}]
    chunk = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
    request = {"method": "POST", "path": "/api/generate", "body": {"prompt": "hi"}}
    response = {"status": "HTTP/1.1 200 OK", "headers": {"Transfer-Encoding": "chunked"}, "t_ms": 0}
    first = {"case": LINE_ENDS, "request": request, "response": response, "note": ""}
    read = {"t_ms": 1, "chunk": chunk, "frames": [len(chunk.encode()), 0]}
    last = {"t_ms": 2, "end": "last chunk received"}
    return "".join(json.dumps(part) + "\n" for part in (first, read, last))


def text_of(tokens: int) -> str:
    return "".join(prose(tokens))


def skipped_lines(answer: Answer) -> int:
    assert answer.end is not None
    return int(answer.end.get("skipped_lines", 0))


def watch_peak(server: Server) -> int:
    """Forget the peak of a process's memory and return what it has now, in bytes."""
    Path(f"/proc/{server.pid}/clear_refs").write_text("5")
    return server.resident_bytes()


def peak(server: Server) -> int:
    """The most memory that a process has had since :func:`watch_peak`, in bytes."""
    lines = Path(f"/proc/{server.pid}/status").read_text().split("\n")
    return next(int(line.split()[1]) << 10 for line in lines if line.startswith("VmHWM"))


# --- lines of the model server


async def test_a_final_line_of_600_kilobytes_passes(client: Client) -> None:
    """M1: Ollama's `context`, an array of numbers, which nobody needs behind the proxy."""
    body = {"model": "sim:tokens=20,fault=big_final", "prompt": "hi"}
    answer = await client.ask("/api/generate/stream", body)

    assert (answer.reason, answer.text, skipped_lines(answer)) == ("stop", text_of(20), 0)
    assert len(answer.wire) < 10_000


async def test_a_line_that_does_not_end_within_8_mebibytes_ends_the_answer(chain: Chain) -> None:
    """M2: and a fresh proxy, whose heap has no holes yet, never holds more of it than that."""
    proxy = chain.another_proxy()
    async with Client(proxy.url) as client:
        await client.ask("/api/generate/stream", {"model": "sim:tokens=20", "prompt": "hi"})
        before = watch_peak(proxy)
        answer = await client.ask("/api/generate/stream", {"model": "sim:fault=huge_line,at=5", "prompt": "hi"})
        most = peak(proxy)
    proxy.stop()

    assert (answer.reason, answer.data[-1]["error"]["retryable"]) == ("upstream_malformed", False)
    assert answer.text == "".join(pieces(SELF)[:5])
    assert most - before < 8 * MIB + MIB


async def test_a_line_that_is_no_json_is_skipped_and_counted_and_the_eighth_ends_the_answer(client: Client) -> None:
    """M3: one is an accident, eight are another language; the text before it stays."""
    one, seven, eight = await asyncio.gather(
        *(client.chat(f"sim:tokens=20,fault=malformed,at=6,count={count}") for count in (1, 7, 8))
    )

    assert (one.reason, one.text, skipped_lines(one)) == ("stop", text_of(20), 1)
    assert (seven.reason, seven.text, skipped_lines(seven)) == ("stop", text_of(20), 7)
    assert (eight.reason, eight.text) == ("upstream_malformed", text_of(6))


async def test_a_clean_answer_does_not_speak_of_skipped_lines(client: Client) -> None:
    answer = await client.chat("sim:tokens=5")

    assert answer.end is not None
    assert "skipped_lines" not in answer.end


@pytest.mark.parametrize("piece", [1, 2, 3, 5, 7, 1000])
async def test_characters_cut_by_reads_come_out_whole(piece: int, client: Client) -> None:
    """M4: one byte a read is every offset, inside the emoji, too."""
    chat, generate = await asyncio.gather(
        client.chat(f"story:piece={piece}"),
        client.ask("/api/generate/stream", {"model": f"story:piece={piece}", "prompt": "hi"}),
    )

    assert [(answer.reason, answer.text) for answer in (chat, generate)] == [("stop", STORY)] * 2
    assert "🌊" in STORY


async def test_bytes_that_are_no_utf8_become_replacement_characters(client: Client) -> None:
    """M5: the rest of the line and of the answer stays."""
    answer = await client.chat("sim:tokens=20,fault=bad_utf8,at=5,count=2")

    broken = b" \xff\xfe\xf0\x9f\x8c".decode(errors="replace")
    assert (answer.reason, answer.text) == ("stop", text_of(5) + 2 * broken + text_of(20).removeprefix(text_of(5)))


async def test_characters_that_other_readers_take_for_line_ends_split_nothing(chain: Chain, client: Client) -> None:
    """M6: U+2028, U+0085, VT, FF, FS in tokens; at the proxy's seed dialect, too."""
    odd, broken = ({"model": f"{name}:pace=0", "prompt": "hi"} for name in (ODD, LINE_ENDS))
    async with Client(chain.proxy.url) as direct:
        recorded, seed, made = await asyncio.gather(
            client.ask("/api/generate/stream", odd),
            direct.ask("/api/generate/stream", odd),
            client.ask("/api/generate/stream", broken),
        )

    assert recorded.reason == seed.reason == made.reason == "stop"
    assert recorded.text == seed.text
    assert made.text == BREAKS
    assert [data["content"] for data in made.data if data["type"] == "token"] == [BREAKS]


@pytest.mark.parametrize(
    ("fault", "skipped"),
    [
        *[("nan", 1), ("deep", 1), ("not_object", 5), ("wrong_type", 6)],
        *[("duplicate_keys", 0), ("blank", 0), ("crlf", 0), ("bom", 0), ("no_newline", 0)],
    ],
)
async def test_strange_lines_cost_themselves_alone(fault: str, skipped: int, client: Client) -> None:
    """M8, M9, M10: NaN, a list 10,000 deep, no objects, wrong types; blank lines, CRLF, a mark of byte order."""
    answer = await client.chat(f"sim:tokens=20,fault={fault},at=5,count={max(skipped, 1)}")

    assert (answer.reason, answer.text, skipped_lines(answer)) == ("stop", text_of(20), skipped)


async def test_counters_that_are_none_are_absent_from_a_good_answer(client: Client) -> None:
    """M8: 1e308, -0 and -1 in the final line cost the report, not the answer."""
    answer = await client.chat("sim:tokens=20,fault=huge_numbers")

    assert answer.end is not None
    assert (answer.reason, answer.text, answer.end["usage"]) == ("stop", text_of(20), None)
    assert answer.end["chunks"] == 20
    assert answer.end["timing"]["tokens_per_s"] is None


@pytest.mark.parametrize("fault", ["twice", "after_done"])
async def test_what_follows_the_last_word_is_nobodys(fault: str, client: Client) -> None:
    """Never a second terminal event, never text behind one."""
    answer = await client.chat(f"sim:tokens=20,fault={fault}")

    assert (answer.reason, answer.text) == ("stop", text_of(20))
    assert [data["type"] for data in answer.data].count("done") == 1
    assert answer.data[-1]["type"] == "done"


NUMBERS: Final = (0, -1, 7, 10**30, 1.5, -0.0, 1e308)
WORDS: Final = ("", "hi", "\u2028", "\ud83c\udf0a", "stop", "length", "a" * 100)
CALLS: Final[tuple[Any, ...]] = (
    [],
    [None],
    [{}],
    [{"function": 1}],
    [{"function": {"name": "f", "arguments": {"x": 1}}}],
    [{"id": 1}],
)
VALUES: Final[tuple[Any, ...]] = (
    None,
    True,
    False,
    *NUMBERS,
    *WORDS,
    *CALLS,
    {},
    {"content": 1},
    {"content": "x"},
    [[[[]]]],
)
MESSAGES: Final = st.dictionaries(
    st.sampled_from(["content", "thinking", "tool_calls", "role"]), st.sampled_from(VALUES), max_size=4
)
FIELDS: Final = ["response", "message", "thinking", "tool_calls", "done", "done_reason", "error", "eval_count", "new"]
LINES: Final = st.dictionaries(st.sampled_from(FIELDS), st.sampled_from(VALUES) | MESSAGES, max_size=5)


@hypothesis.settings(suppress_health_check=list(hypothesis.HealthCheck))
@hypothesis.given(lines=st.lists(LINES, min_size=20, max_size=20), generate=st.booleans())
def test_no_object_that_a_model_server_can_send_raises(lines: list[dict[str, Any]], generate: bool) -> None:
    """M9: 10,000 objects; each is what can be read of it."""
    request = GenerateRequest(model="m") if generate else ChatRequest(model="m")
    for line in lines:
        adapter, log = OllamaAdapter(Question(request, "m")), StreamLog(MIB)
        end = adapter.feed(json.dumps(line).encode() + b"\n", log)

        assert log.skipped_lines <= 1
        assert end is not None or line.get("done") is not True or log.skipped_lines


# --- below the lines


async def test_garbage_instead_of_http_is_malformed_after_two_calls_at_most(chain: Chain, client: Client) -> None:
    """M11."""
    model = "sim:fault=garbage"
    answer = await client.chat(model)

    assert (answer.status, answer.error["code"], answer.error["retryable"]) == (502, "upstream_malformed", False)
    assert 1 <= len(chain.calls(model)) <= 2


async def test_a_chunk_size_that_is_no_number_ends_the_answer_behind_its_text(client: Client) -> None:
    """M12: the parser says so at once; nobody waits for the idle limit."""
    answer = await client.chat("sim:tokens=20,fault=bad_chunk,at=5")

    assert (answer.reason, answer.text) == ("upstream_malformed", text_of(5))


async def test_100_kilobytes_of_trailers_take_nothing_from_the_answer_and_no_memory(
    chain: Chain, client: Client
) -> None:
    """M12: the last word was said before them."""
    before = watch_peak(chain.proxy)
    answers = [await client.chat(f"sim:tokens=20,fault=trailers,bytes={size}") for size in (100_000, 20_000_000)]

    assert [(answer.reason, answer.text) for answer in answers] == [("stop", text_of(20))] * 2
    assert peak(chain.proxy) - before < 2 * MIB


# --- bodies of clients


def padded(size: int) -> bytes:
    """A sound body of exactly ``size`` bytes."""
    start, end = b'{"model":"sim:tokens=1","message":"', b'"}'
    return start + b"a" * (size - len(start) - len(end)) + end


BAD_BODIES: Final = {
    "no body": (b"", 400, "invalid_request"),
    "an array": (b"[]", 400, "invalid_request"),
    "a word": (b'"hi"', 400, "invalid_request"),
    "no json": (b'{"message":', 400, "invalid_request"),
    "utf-16": (json.dumps({"message": "hi"}).encode("utf-16"), 400, "invalid_request"),
    "latin-1": (b'{"message":"\xe9"}', 400, "invalid_request"),
    "one byte over the limit": (padded(BODY_BYTES + 1), 413, "payload_too_large"),
    "nan": (b'{"message":"hi","options":{"temperature":NaN}}', 400, "invalid_request"),
    "1e308": (b'{"message":"hi","options":{"temperature":1e308}}', 400, "invalid_request"),
    "1e999": (b'{"message":"hi","options":{"temperature":1e999}}', 400, "invalid_request"),
    "10,000 deep": (b'{"message":"hi","format":' + b"[" * 10_000 + b"]" * 10_000 + b"}", 400, "invalid_request"),
    "161 deep": (b'{"message":"hi","format":' + b'{"a":' * 160 + b"1" + b"}" * 160 + b"}", 400, "invalid_request"),
}


@pytest.mark.parametrize("what", BAD_BODIES)
async def test_a_body_that_is_none_is_refused_before_anybody_is_asked(what: str, chain: Chain, client: Client) -> None:
    """M8, M14."""
    body, status, code = BAD_BODIES[what]
    calls = chat_calls(chain)
    answer = await post(client, body, JSON)

    assert (answer.status, answer.error["code"], answer.error["retryable"]) == (status, code, False)
    assert chat_calls(chain) == calls


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""])
async def test_a_body_of_another_type_is_refused_for_it_is_the_guard_against_forms(
    content_type: str, chain: Chain, client: Client
) -> None:
    """M14: 415."""
    calls = chat_calls(chain)
    answer = await post(client, b'{"message":"hi"}', {"Content-Type": content_type})

    assert (answer.status, answer.error["code"]) == (415, "unsupported_media_type")
    assert chat_calls(chain) == calls


async def test_a_body_of_exactly_the_limit_is_taken(client: Client) -> None:
    """M14: the other side of the one byte."""
    answer = await post(client, padded(BODY_BYTES), JSON)

    assert (answer.status, answer.reason) == (200, "stop")


async def test_of_a_key_given_twice_the_last_counts(chain: Chain, client: Client) -> None:
    """M8."""
    body = b'{"model":"sim:tokens=2","message":"first","message":"second","options":{"top_k":1},"options":{"seed":-0}}'
    answer = await post(client, body, JSON)
    (sent,) = [call["body"] for call in chain.calls("sim:tokens=2")]

    assert answer.reason == "stop"
    assert sent["messages"] == [{"role": "user", "content": "second"}]
    assert sent["options"] == {"seed": 0, "num_predict": 8192}


async def post(client: Client, body: bytes, headers: dict[str, str]) -> Answer:
    """Send a body as it is."""
    url = f"{client.url}/api/chat/stream"
    async with client.session.post(url, data=io.BytesIO(body), headers=headers) as response:
        answer = Answer(response.status, response.headers, body=await response.read())
    if answer.status == 200:
        answer.events.extend(SseDecoder().feed(answer.body))
    return answer


def chat_calls(chain: Chain) -> int:
    """How often a model was asked, so far."""
    return sum(call["path"] in {"/api/chat", "/api/generate"} for call in chain.witness()["calls"])
