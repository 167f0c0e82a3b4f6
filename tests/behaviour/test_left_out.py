"""Nothing is left out without a word: what cannot be read of a model server's lines is said in every shape (M3)."""

import json
from typing import Any, Final

import pytest

from services.simulator.prose import prose
from tests.behaviour.ollama_client import asking, lines_of, said
from tests.chain import Chain
from tests.reader import Answer, Client

JSON: Final = {"Accept": "application/json"}
NATIVE: Final = {"Accept": "text/event-stream;dialect=native"}
TOKENS: Final = 9
CLOCK: Final = {"name": "clock", "arguments": {"tz": "UTC"}}


def text_of(tokens: int) -> str:
    return "".join(prose(tokens))


async def every_shape(chain: Chain, fault: str) -> dict[str, dict[str, Any]]:
    """Ask for one answer in each shape; return each shape's last word, and the snapshots of both servers."""
    model = f"sim:tokens={TOKENS},at=3,{fault}"
    body = asking("chat", model)
    async with Client(chain.gateway.url) as gateway, Client(chain.proxy.url) as proxy:
        whole = await gateway.ask("/api/chat", {key: body[key] for key in ("model", "messages")})
        followed = await gateway.chat(model)
        seed = await proxy.ask("/api/chat/stream", body)
        shapes = {
            "gateway, frames": last(followed),
            "gateway, whole": json.loads(whole.body),
            "gateway, snapshot": json.loads((await snapshot(gateway, "/api/chat/stream/", followed)).body),
            "proxy, seed": last(seed),
            "proxy, native": last(await proxy.ask("/api/chat/stream", body, NATIVE)),
            "proxy, snapshot": json.loads((await snapshot(proxy, "/api/streams/", seed)).body),
        }
        for kind in ("chat", "generate"):
            lines = await proxy.ask(f"/api/{kind}", asking(kind, model))
            one = await proxy.ask(f"/api/{kind}", asking(kind, model, shape="object"))
            shapes |= {f"proxy, {kind} lines": lines_of(lines)[-1], f"proxy, {kind} object": json.loads(one.body)}
        return shapes


def last(answer: Answer) -> dict[str, Any]:
    assert answer.end is not None
    return answer.end


async def snapshot(client: Client, path: str, answer: Answer) -> Answer:
    return await client.get(path + answer.stream_id, JSON)


@pytest.mark.parametrize("fault", ["fault=malformed,count=2", "fault=wrong_type,count=2", "fault=not_object,count=2"])
async def test_a_good_end_says_how_many_lines_were_left_out_in_every_shape(fault: str, chain: Chain) -> None:
    shapes = await every_shape(chain, fault)

    assert {name: end.get("skipped_lines") for name, end in shapes.items()} == dict.fromkeys(shapes, 2)
    assert len(shapes) == 10


async def test_a_failure_says_how_many_lines_were_left_out_wherever_something_was_shown(chain: Chain) -> None:
    """A whole answer that fails shows nothing: nothing is left out of it."""
    shapes = await every_shape(chain, "fault=malformed,count=8")
    whole = {"gateway, whole", "proxy, chat object", "proxy, generate object"}
    told = {name: end.get("skipped_lines") for name, end in shapes.items()}

    assert told == {name: None if name in whole else 8 for name in shapes}
    assert all("error" in end for name, end in shapes.items() if "snapshot" not in name)


async def test_an_answer_without_a_hole_does_not_speak_of_one_in_any_shape(chain: Chain) -> None:
    shapes = await every_shape(chain, "seed=3")

    assert [name for name, end in shapes.items() if "skipped_lines" in end] == []


async def test_a_running_answer_s_snapshot_says_what_was_left_out_so_far(chain: Chain) -> None:
    body = asking("chat", "sim:tokens=500,rate=50,fault=malformed,at=3,count=2")
    async with Client(chain.proxy.url) as proxy, proxy.open("POST", "/api/chat/stream", body) as reading:
        answer = await reading.until_tokens(5)
        page = json.loads((await snapshot(proxy, "/api/streams/", answer)).body)

    assert (page["status"], page["skipped_lines"]) == ("streaming", 2)


async def test_one_unreadable_tool_call_loses_neither_its_sibling_nor_the_text_around_it(chain: Chain) -> None:
    """Its sibling's arguments come as JSON text, as servers of OpenAI's school send them."""
    body = asking("chat", f"sim:tokens={TOKENS},at=3,fault=bad_call")
    async with Client(chain.gateway.url) as gateway, Client(chain.proxy.url) as proxy:
        answer = await gateway.chat(body["model"])
        lines = lines_of(await proxy.ask("/api/chat", body))

    assert (answer.reason, answer.text, last(answer)["skipped_lines"]) == ("tool_calls", text_of(TOKENS), 1)
    assert [{key: call[key] for key in CLOCK} for call in answer.tool_calls] == [CLOCK]
    assert (said(lines), lines[-1]["skipped_lines"]) == (text_of(TOKENS), 1)
    assert [line["message"]["tool_calls"] for line in lines if "tool_calls" in line.get("message", {})] == [
        [{"id": "call_1", "function": {"index": 0, **CLOCK}}]
    ]


async def test_half_an_emoji_costs_no_line(client: Client) -> None:
    """A model's text may be cut between the two halves of a character: U+FFFD, as Ollama's own reader has it."""
    answer = await client.chat(f"sim:tokens={TOKENS},at=3,fault=half_pair,count=2")

    assert (answer.reason, "skipped_lines" in last(answer)) == ("stop", False)
    assert answer.text == text_of(3) + 2 * " \ufffd" + text_of(TOKENS).removeprefix(text_of(3))


async def test_counters_that_no_version_has_yet_come_back_and_an_absent_one_stays_absent(chain: Chain) -> None:
    body = asking("chat", f"sim:tokens={TOKENS},fault=odd_counters")
    async with Client(chain.proxy.url) as proxy:
        seed = last(await proxy.ask("/api/chat/stream", body))
        lines = lines_of(await proxy.ask("/api/chat", body))[-1]
        whole = json.loads((await proxy.ask("/api/chat", {**body, "stream": False})).body)

    assert seed["usage"] == {"input_tokens": None, "output_tokens": TOKENS + 1}
    for end in (lines, whole):
        assert (end["prompt_eval_cached_count"], end["draft_duration"]) == (17, 0.5)
        assert (end["eval_count"], "prompt_eval_count" in end) == (TOKENS + 1, False)
