"""Which tools the model is offered, whatever an agent keeps back, finds, adds and takes away.

Of services/dialects/anthropic_tools.py, by the reader that asks it.
"""

from typing import Any, Final

import pytest

from services.dialects.anthropic_tools import Addition, offered
from tests.dialects.test_anthropic_request import CALLED, CLOCK, asked, refused, result, text, user, wanted

PLACEHOLDER: Final = {"name": "DeferredToolPlaceholder", "input_schema": {"type": "object"}, "defer_loading": True}
BELL: Final = {"name": "bell", "description": "Ring", "defer_loading": True}
FOUND: Final = user(result([{"type": "tool_reference", "tool_name": "bell"}]))
SEARCH: Final = {"type": "tool_search_tool_bm25_20251119", "name": "tool_search_tool_bm25"}


def change(kind: str, **tool: Any) -> dict[str, Any]:
    return {"role": "system", "content": [{"type": kind, "tool": {"type": "tool_reference", **tool}}]}


def names(*messages: dict[str, Any], tools: list[dict[str, Any]]) -> list[str]:
    """Return the names of the tools that the model is offered."""
    return [tool.name for tool in asked(user(text("hi")), *messages, tools=tools).tools or ()]


def test_a_tool_that_is_kept_back_is_not_offered() -> None:
    """Claude Code sends one that is never to be called; a model that saw it would."""
    assert names(tools=[PLACEHOLDER, CLOCK]) == ["clock"]


def test_what_a_search_of_the_client_s_found_is_offered_from_then_on() -> None:
    assert names(CALLED, FOUND, user(text("go on")), tools=[CLOCK, BELL, PLACEHOLDER]) == ["clock", "bell"]


def test_where_a_server_of_theirs_would_search_nothing_is_kept_back() -> None:
    """Nobody here searches: what is kept back would never be found."""
    assert names(tools=[SEARCH, CLOCK, BELL]) == ["clock", "bell"]
    assert wanted(tools=[SEARCH]).dropped == ("tools",)


@pytest.mark.parametrize(
    ("changes", "offered"),
    [
        ([change("tool_addition", name="bell")], ["clock", "bell"]),
        ([change("tool_removal", name="clock")], []),
        ([change("tool_removal", name="clock"), change("tool_addition", name="clock")], ["clock"]),
        ([change("tool_addition", definition={"name": "gong"})], ["clock", "gong"]),
        ([change("tool_addition", definition=CLOCK | {"description": "New"})], ["clock"]),
        ([change("tool_addition", name="nobody"), change("tool_removal", name="nobody")], ["clock"]),
        ([change("tool_addition", definition=SEARCH)], ["clock"]),
    ],
)
def test_a_client_adds_and_removes_tools_in_turns_of_the_system(
    changes: list[dict[str, Any]], offered: list[str]
) -> None:
    assert names(*changes, tools=[CLOCK, BELL]) == offered


def test_a_definition_takes_the_place_of_the_one_before() -> None:
    new = change("tool_addition", definition=CLOCK | {"description": "New"})
    (tool,) = asked(user(text("hi")), new, tools=[CLOCK]).tools or ()

    assert tool.description == "New"


def test_a_turn_that_only_changes_tools_is_nothing_for_the_model_to_read() -> None:
    said = asked(user(text("hi")), change("tool_addition", name="bell"), user(text("go on")), tools=[BELL]).messages

    assert [message.role for message in said] == ["user", "user"]


def test_a_change_that_names_no_tool_is_refused_by_its_field() -> None:
    assert refused({"role": "system", "content": [{"type": "tool_addition"}]}).startswith(
        "messages[0].content[0].tool_addition.tool"
    )


def test_very_many_definitions_are_taken_in_their_order_and_at_once() -> None:
    """A list that was made anew for each held the gateway for minutes: here it would not end."""
    gongs = [Addition.model_validate({"tool": {"definition": {"name": f"gong{number}"}}}) for number in range(50_000)]

    assert [tool.name for tool in offered((), [*gongs, gongs[0]])][-2:] == ["gong49999", "gong0"]
