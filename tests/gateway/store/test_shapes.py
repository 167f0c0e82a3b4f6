from typing import Any

import pytest

from gateway.store.rows import Answer, Status
from gateway.store.schema import messages
from gateway.store.shapes import conversation_of, message_of

ROW: dict[str, Any] = {
    **dict.fromkeys(column.name for column in messages.c),
    "id": "ms_A",
    "role": "assistant",
    "content": "",
    "thinking": "",
    "created_at": 1,
    "stream_id": "k3fa.A",
}
CONVERSATION = (
    *("id", "title", "named", "model", "system", "think", "options", "current", "version"),
    *("created_at", "updated_at"),
)
SHOWN = {"id": "ms_A", "parent": None, "role": "assistant", "content": "", "created_at": 1}


@pytest.mark.parametrize(
    ("status", "code", "more"),
    [
        ("streaming", None, {"stream_id": "k3fa.A"}),
        ("sent", "length", {"finish_reason": "length"}),
        ("failed", "upstream_timeout", {"error": {"code": "upstream_timeout"}}),
        ("interrupted", None, {}),
    ],
)
def test_a_message_says_how_it_ended_and_a_stream_only_while_it_can_be_followed(
    status: str, code: str | None, more: dict[str, Any]
) -> None:
    assert message_of({**ROW, "status": status, "code": code}) == {**SHOWN, "status": status, **more}


def test_an_answer_is_final_unless_it_streams() -> None:
    assert [Answer("ms_A", status).is_final for status in Status] == [False, True, True, True, True]


def test_a_conversation_is_shown_without_its_owner_and_what_it_leaves_to_the_request_is_null() -> None:
    row = {"owner": "o", "words": "w", **dict.fromkeys(CONVERSATION), "id": "cv_A", "title": "Tides", "version": 2}

    assert conversation_of(row) == {**dict.fromkeys(CONVERSATION), "id": "cv_A", "title": "Tides", "version": 2}
