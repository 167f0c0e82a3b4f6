import copy
from typing import Any

import orjson
import pytest

from gateway.store.ids import is_conversation_id, is_message_id
from gateway.store.importing import imported
from services.wire.body_writer import message_json
from services.wire.events import Signature
from services.wire.request import BadBody, CalledTool, Message
from tests.gateway.store.keeping import ANOTHER, OWNER

PICTURE = "iVBORw0KGgo="
ASKED: dict[str, Any] = {"id": "q", "parent": None, "role": "user", "content": "hi", "created_at": 1}
TOLD: dict[str, Any] = {"id": "a", "parent": "q", "role": "assistant", "content": "ho", "created_at": 2}
CHAT: dict[str, Any] = {"id": "c", "title": "t", "created_at": 1, "updated_at": 2, "messages": [ASKED, TOLD]}
FILE: dict[str, Any] = {"sluice_export": 1, "conversations": [CHAT]}
OLDER: dict[str, Any] = {
    "format": "sluice-chats",
    "version": 1,
    "chats": [
        {
            "conversation": {
                "id": "c",
                "title": "t",
                "named": True,
                "model": "",
                "leaf": "a",
                "at": 1,
                "updated": 2,
                "parameters": {"system": "be brief", "think": False, "seed": 3},
            },
            "messages": [
                {"id": "q", "parent": None, "role": "user", "at": 1, "text": "hi", "pictures": [{"data": PICTURE}]},
                {
                    "id": "a",
                    "parent": "q",
                    "role": "assistant",
                    "at": 2,
                    "text": "ho",
                    "model": "tiny",
                    "status": "streaming",
                    "thinking": "hm",
                    "finish": "stop",
                    "tools": [{"id": "call_1", "name": "clock", "args": {}, "result": "12:00", "ok": True, "ms": 4}],
                },
            ],
        }
    ],
}


SAID: dict[str, Any] = {"role": "assistant", "content": "ho"}
CALL: dict[str, Any] = {"call_id": "call_1", "name": "mail", "arguments": {}}


def told(**changes: Any) -> bytes:
    """Return the file with nothing but its answer, changed."""
    return file(messages=[{**TOLD, **changes}])


def file(**changes: Any) -> bytes:
    """Return the file with its one conversation changed."""
    return orjson.dumps({**FILE, "conversations": [{**CHAT, **changes}]})


def test_names_of_other_forms_become_ours_and_hang_together_as_before() -> None:
    (one,) = imported(file(current="a"), OWNER)
    asked, told = one.messages

    assert is_conversation_id(one.row["id"])
    assert is_message_id(asked["id"])
    assert (told["parent"], told["conversation"], one.current) == (asked["id"], one.row["id"], told["id"])
    assert imported(file(), ANOTHER)[0].row["id"] != one.row["id"] == imported(file(), OWNER)[0].row["id"]


def test_an_older_file_of_the_page_is_read_as_well() -> None:
    (one,) = imported(orjson.dumps(OLDER), OWNER)
    asked, told = one.messages

    assert (one.row["system"], one.row["think"], one.row["options"]) == ("be brief", False, {"seed": 3})
    assert (one.row["named"], one.row["model"], one.current) == (True, None, told["id"])
    assert (asked["images"], asked["status"]) == ([PICTURE], "sent")
    assert (told["status"], told["code"], told["thinking"], told["model"]) == ("interrupted", "stop", "hm", "tiny")
    tool = {"call_id": "call_1", "name": "clock", "arguments": {}, "ok": True, "content": "12:00", "duration_ms": 4}
    assert told["tools"] == [tool]


def test_what_an_answer_adds_to_a_history_comes_back_as_an_export_has_it() -> None:
    seal = Signature("gemini", {"thoughtSignature": "c2VhbA==", "of": None})
    called = CalledTool("clock", {"tz": None, "at": [1.5]}, "call_1", 0, seal)
    messages = (
        Message("assistant", "", "hm", tool_calls=(called, CalledTool("bare")), extra=(seal,)),
        Message("tool", "12:00", tool_name="clock", tool_call_id="call_1"),
        Message("assistant", "noon"),
    )
    turns = [message_json(message) for message in messages]
    calls = [{"call_id": "call_2", "name": "mail", "arguments": {"to": None}}]

    (one,) = imported(file(messages=[{**TOLD, "turns": turns, "tool_calls": calls}]), OWNER)

    assert (one.messages[0]["turns"], one.messages[0]["tool_calls"]) == (turns, calls)


def test_a_parent_that_is_not_in_the_file_is_named() -> None:
    (one,) = imported(file(messages=[TOLD]), OWNER)

    assert one.parents_elsewhere == {one.messages[0]["parent"]}


def circle() -> list[dict[str, Any]]:
    return [{**ASKED, "id": "1", "parent": "2"}, {**ASKED, "id": "2", "parent": "1"}]


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (b"", "Send one JSON object"),
        (b"[]", "Send one JSON object"),
        (b"{}", "this is no export of version 1"),
        (b'{"sluice_export":2,"conversations":[]}', "this is no export of version 1"),
        (b'{"sluice_export":1}', "conversations must be a list"),
        (b'{"sluice_export":1,"conversations":[1]}', "conversations must be a list"),
        (b'{"format":"sluice-chats","version":1,"chats":[{}]}', "conversation 1: id is required"),
        (b'{"format":"sluice-chats","version":1,"chats":7}', "conversations must be a list"),
        (file(messages=[{**ASKED, "role": "system"}]), "conversation 1: messages[0].role must be"),
        (file(messages=[{**ASKED, "images": ["https://x"]}]), "conversation 1: messages[0].images[0] must be"),
        (file(messages=[{**ASKED, "status": "streaming"}]), "conversation 1: messages[0].status must be"),
        (told(turns=[{}]), "conversation 1: messages[0].turns[0].role is required"),
        (told(turns=[{"role": "system", "content": "obey"}]), "conversation 1: messages[0].turns[0].role must be"),
        (told(turns=[{"role": "user", "content": "obey"}]), "conversation 1: messages[0].turns[0].role must be"),
        (told(turns=[{"role": "tool", "content": 5}]), "conversation 1: messages[0].turns[0].content must be a string"),
        (told(turns=[{**SAID, "tool_calls": [{}]}]), "conversation 1: messages[0].turns[0].tool_calls[0].function is"),
        (told(turns=[{**SAID, "extra": [1]}]), "conversation 1: messages[0].turns[0].extra[0] must be an object"),
        (told(tool_calls=[{}]), "conversation 1: messages[0].tool_calls[0].call_id is required"),
        (told(tool_calls=[{**CALL, "arguments": "{}"}]), "conversation 1: messages[0].tool_calls[0].arguments must be"),
        (told(tool_calls=[{**CALL, "name": ""}]), "conversation 1: messages[0].tool_calls[0].name must not be empty"),
        (told(role="user", turns=[SAID]), "conversation 1: turns and tool_calls are an assistant's"),
        (told(role="user", tool_calls=[CALL]), "conversation 1: turns and tool_calls are an assistant's"),
        (file(messages=[ASKED, ASKED]), "an id is there twice"),
        (file(messages=circle()), "conversation 1: its messages go round in a circle"),
        (file(title="x" * 201), "conversation 1: title must have at most 200"),
        (file(updated_at=-1), "conversation 1: updated_at must be at least 0"),
        (file(id="x" * 65), "conversation 1: id must have at most 64"),
        (orjson.dumps({**FILE, "conversations": [CHAT, CHAT]}), "an id is there twice"),
    ],
)
def test_a_file_with_anything_wrong_in_it_is_refused(raw: bytes, said: str) -> None:
    with pytest.raises(BadBody) as refused:
        imported(raw, OWNER)

    assert refused.value.message.startswith(said)


def test_an_older_file_whose_parts_are_no_objects_is_refused_and_never_a_fault_of_ours() -> None:
    parts: tuple[Any, ...] = (None, 1, "x", [], {})
    for part in parts:
        for path in (("chats", 0), ("chats", 0, "conversation"), ("chats", 0, "messages", 0), ("chats", 0, "messages")):
            wrong = copy.deepcopy(OLDER)
            at: Any = wrong
            for step in path[:-1]:
                at = at[step]
            at[path[-1]] = part
            if path[-1] == "messages" and part == []:
                continue
            with pytest.raises(BadBody):
                imported(orjson.dumps(wrong), OWNER)
