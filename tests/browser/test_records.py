"""What the gateway keeps, as the page reads, asks and files it: records.js, pieces.js and the history with tools."""

import json
from typing import Any, Final

from tests.browser.visit import Visit

QUESTION: Final = {"id": "ms_Q", "parent": None, "role": "user", "content": "hi", "status": "sent", "created_at": 1}
CALL: Final = {"call_id": "call_1", "name": "clock", "arguments": {"tz": "UTC"}, "runs": "server"}
RAN: Final = {**CALL, "ok": False, "content": "no clock", "duration_ms": 4, "approval": "given", "at": 2}
ANSWER: Final = {
    "id": "ms_A",
    "parent": "ms_Q",
    "role": "assistant",
    "content": "🌊 a b",
    "status": "sent",
    "created_at": 2,
    "finish_reason": "stop",
    "tools": [RAN],
    "timing": {"total_ms": 5},
}


async def read(visit: Visit, *rows: dict[str, Any]) -> list[dict[str, Any]]:
    messages: list[dict[str, Any]] = await visit.call("records.js", "messagesFrom", list(rows), "cv_1")
    return messages


async def test_an_answer_is_read_with_its_tools_in_their_places(visit: Visit) -> None:
    _, answer = await read(visit, QUESTION, ANSWER)

    (tool,) = answer["tools"]
    assert (answer["text"], answer["status"], answer["finish"]) == ("🌊 a b", "sent", "stop")
    assert (tool["at"], tool["ok"], tool["result"], tool["approval"]) == (3, False, "no clock", "given")
    parts = await visit.call("answer.js", "parts", answer)
    assert [part.get("text") for part in parts] == ["🌊 ", None, "a b"]


async def test_one_that_streams_is_read_from_the_beginning_of_its_stream(visit: Visit) -> None:
    half = {**ANSWER, "status": "streaming", "content": "half", "stream_id": "k3fa.X", "finish_reason": None}
    _, answer = await read(visit, QUESTION, half)

    assert (answer["text"], answer["last"], answer["stream"]) == ("", 0, "k3fa.X")


async def test_messages_of_other_roles_are_passed_over_and_their_children_moved_up(visit: Visit) -> None:
    system = {**QUESTION, "id": "ms_S", "role": "system"}
    question, answer = await read(visit, system, {**QUESTION, "parent": "ms_S"}, ANSWER)

    assert (question["parent"], answer["parent"]) == (None, "ms_Q")


async def test_a_failed_answer_says_its_code(visit: Visit) -> None:
    failed = {**ANSWER, "status": "failed", "finish_reason": None, "error": {"code": "upstream_error"}}
    _, answer = await read(visit, QUESTION, failed)

    assert answer["failure"]["code"] == "upstream_error"


async def test_what_an_export_says_of_a_message_is_what_was_read(visit: Visit) -> None:
    for row in (QUESTION, ANSWER):
        (message,) = await read(visit, row)

        written = await visit.call("records.js", "rowOf", message)

        assert {name: written[name] for name in row if name != "parent"} == {
            name: value for name, value in row.items() if name != "parent"
        }


async def test_tools_that_ran_are_told_to_the_model_between_what_it_said(visit: Visit) -> None:
    question, answer = await read(visit, QUESTION, ANSWER)
    asked = {"model": "", "parameters": {"tools": True}}

    request = await visit.call(
        "conversation.js", "request", [question, answer, question], asked, 1 << 20, {"model": ""}
    )

    body = json.loads(request["body"])
    assert body["server_tools"] is True
    assert [(one["role"], one["content"]) for one in body["messages"]] == [
        ("user", "hi"),
        ("assistant", "🌊 "),
        ("tool", "no clock"),
        ("assistant", "a b"),
        ("user", "hi"),
    ]
    assert body["messages"][1]["tool_calls"][0]["id"] == body["messages"][2]["tool_call_id"] == "call_1"


ID: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
ASK: Final = """async ([tree, parent]) => {
  const app = document.querySelector("script[type=module]").src;
  const { keptRequest } = await import(app.replace("app.js", "records.js"));
  const conversation = { model: "", parameters: {} };
  return JSON.parse(keptRequest(new Map(tree.map((one) => [one.id, one])), conversation, parent, { model: "" }).body);
}"""


async def test_a_question_that_the_gateway_does_not_have_is_sent_below_what_it_has(visit: Visit) -> None:
    def question(name: str, parent: str | None) -> dict[str, Any]:
        return {"id": name, "parent": parent, "role": "user", "text": name, "pictures": []}

    kept = {"id": f"ms_{ID}", "parent": None, "role": "assistant", "text": "x"}
    refused = {"id": "b", "parent": "a", "role": "assistant", "text": ""}
    tree = [kept, question("a", kept["id"]), refused, question("c", "b"), question("first", None)]
    sent = {name: await visit.page.evaluate(ASK, [tree, name]) for name in ("a", "c", "first")}
    again = await visit.page.evaluate(ASK, [[{**question(f"ms_{ID}", None)}], f"ms_{ID}"])

    assert {name: (one["message"], one["parent"]) for name, one in sent.items()} == {
        "a": ("a", f"ms_{ID}"),
        "c": ("c", f"ms_{ID}"),
        "first": ("first", ""),
    }
    assert again["parent"] == f"ms_{ID}"
    assert "message" not in again


async def test_a_large_file_goes_in_pieces_and_comes_together_again(visit: Visit) -> None:
    messages = [{"id": str(number), "content": "x" * 40} for number in range(9)]
    chats = [
        {"id": "one", "messages": messages},
        {"id": "two", "messages": messages[:2]},
        {"id": "none", "messages": []},
    ]
    file = {"sluice_export": 1, "conversations": chats}

    pieces = await visit.call("pieces.js", "inPieces", json.dumps(file), 200)
    joined = await visit.call("pieces.js", "joined", [json.loads(piece) for piece in pieces])

    assert len(pieces) > 3
    assert max(map(len, pieces)) < 400
    assert json.loads(joined) == file


SNAPSHOT: Final = """async ([snapshot]) => {
  const app = document.querySelector("script[type=module]").src;
  const { asked, takeSnapshot } = await import(app.replace("app.js", "answer.js"));
  const answer = asked({});
  takeSnapshot(answer, snapshot);
  return answer;
}"""


async def test_a_snapshot_has_the_tools_in_their_places_with_what_came_of_them(visit: Visit) -> None:
    calls = [{"call_id": "call_1", "name": "clock"}, {"call_id": "call_2", "name": "door"}]
    snapshot = {
        "status": "finished",
        "end": {"finish_reason": "stop", "usage": None},
        "text": "Look. Noon.",
        "thinking": "",
        "tool_calls": [{**CALL, "name": call["name"], "call_id": call["call_id"]} for call in calls],
        "tool_results": [{**RAN, "call_id": "call_2", "name": "door"}],
        "messages": [
            {"role": "assistant", "content": "Look. ", "tool_calls": calls},
            {"role": "tool", "content": "no clock"},
            {"role": "assistant", "content": "Noon."},
        ],
    }

    answer = await visit.page.evaluate(SNAPSHOT, [snapshot])

    assert [(one["name"], one["at"], one.get("result")) for one in answer["tools"]] == [
        ("clock", 6, None),
        ("door", 6, "no clock"),
    ]
    assert (answer["status"], answer["text"]) == ("sent", "Look. Noon.")
