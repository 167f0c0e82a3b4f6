from datetime import UTC, datetime

import pytest

from gateway.guard.keys import FILE_BYTES, BadKeysFile, Key, read_keys
from gateway.guard.scopes import Scope
from services.wire.events import ApiError, Code

HASH = "0" * 64
NOON = datetime(2026, 11, 28, 12, tzinfo=UTC)


def table(**fields: str) -> str:
    said = {"id": '"a1B2c3D4"', "hash": f'"{HASH}"', "name": '"Ada"', **fields}
    return "[[key]]\n" + "".join(f"{name} = {value}\n" for name, value in said.items() if value)


def read(*tables: str) -> list[Key]:
    return list(read_keys("\n".join(tables).encode()).values())


def problems(*tables: str) -> list[str]:
    with pytest.raises(BadKeysFile) as told:
        read(*tables)
    return told.value.problems


def test_a_key_says_whose_it_is_and_may_chat_with_any_model_without_a_limit() -> None:
    (key,) = read(table())

    assert (key.id, key.name, key.scopes) == ("a1B2c3D4", "Ada", frozenset({Scope.CHAT, Scope.MODELS}))
    assert key.allows("anything")
    assert [key.max_output_tokens, key.streams, key.requests_per_minute, key.burst, key.tokens_per_day] == [None] * 5


def test_every_limit_list_and_time_is_read() -> None:
    (key,) = read(
        table(
            models='["llama3.2"]', scopes='["chat", "admin"]', max_output_tokens="100", streams="2",
            requests_per_minute="60", burst="5", tokens_per_day="1_000_000",
            not_before="2026-01-01T00:00:00Z", not_after="2027-01-01T00:00:00+01:00",
        )
    )  # fmt: skip

    assert key.scopes == {Scope.CHAT, Scope.ADMIN}
    assert (key.max_output_tokens, key.streams, key.requests_per_minute, key.burst) == (100, 2, 60, 5)
    assert key.tokens_per_day == 1_000_000
    assert key.lives(NOON)


@pytest.mark.parametrize("asked", ["llama3.2", "llama3.2:latest", "LLAMA3.2", "library/llama3.2"])
def test_a_model_is_allowed_in_every_spelling(asked: str) -> None:
    (key,) = read(table(models='["llama3.2"]'))

    assert (key.allows(asked), key.allows(asked + "x")) == (True, False)


def test_a_model_that_is_not_allowed_is_refused() -> None:
    (key,) = read(table(models='["llama3.2"]'))

    key.demand("llama3.2:latest")
    with pytest.raises(ApiError) as refused:
        key.demand("qwen3")
    assert refused.value.failed.code is Code.MODEL_NOT_ALLOWED


def test_an_empty_list_of_models_allows_none() -> None:
    (key,) = read(table(models="[]"))

    assert not key.allows("llama3.2")


@pytest.mark.parametrize(
    ("fields", "lives"),
    [
        ({"not_before": "2026-11-28T12:00:00Z"}, True),
        ({"not_before": "2026-11-28T12:00:01Z"}, False),
        ({"not_after": "2026-11-28T12:00:01Z"}, True),
        ({"not_after": "2026-11-28T12:00:00Z"}, False),
        ({"not_after": "2026-11-28T13:00:00+01:00"}, False),
    ],
)
def test_a_key_lives_from_not_before_until_short_of_not_after(fields: dict[str, str], lives: bool) -> None:
    assert read(table(**fields))[0].lives(NOON) is lives


def test_two_keys_of_one_name_stand_side_by_side() -> None:
    keys = read(table(), table(id='"e5F6g7H8"'))

    assert [key.name for key in keys] == ["Ada", "Ada"]


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"id": '"short"'}, "id: String should match pattern '^[0-9A-Za-z]{8}$'"),
        ({"hash": '"F"'}, "hash: String should match pattern '^[0-9a-f]{64}$'"),
        ({"hash": ""}, "hash: Field required"),
        ({"name": '""'}, "name: String should have at least 1 character"),
        ({"name": '"A\\u0007"'}, "name: expected text without control characters"),
        ({"scopes": '["chat", "root"]'}, "scopes: expected some of chat, models, streams, conversations, tools, admin"),
        ({"scopes": "[1]"}, "scopes: expected some of chat, models, streams, conversations, tools, admin"),
        ({"scopes": '"chat"'}, "scopes: expected a valid frozenset"),
        ({"models": '"llama3.2"'}, "models: expected a valid tuple"),
        ({"streams": "0"}, "streams: expected greater than or equal to 1"),
        ({"streams": '"2"'}, "streams: expected a valid integer"),
        ({"tokens_per_day": "1.5"}, "tokens_per_day: expected a valid integer"),
        ({"burst": "2"}, "burst: says nothing without requests_per_minute"),
        ({"not_after": "2027-01-01T00:00:00"}, "not_after: expected a zone, as in 2027-01-01T00:00:00Z"),
        ({"not_after": "2027-01-01"}, "not_after: expected a valid datetime"),
        ({"not_before": "2027-01-01T00:00:00Z", "not_after": "2026-01-01T00:00:00Z"},
         "not_after: expected a later time than not_before"),
        ({"allow": "true"}, "allow: unknown"),
    ],
)  # fmt: skip
def test_what_a_table_says_wrong_is_told_by_its_line_and_field(fields: dict[str, str], told: str) -> None:
    assert problems("# keys", table(**fields)) == [f"line 2: {told}"]


def test_all_problems_of_all_tables_are_told_at_once() -> None:
    assert problems(table(streams="0", burst='"x"'), table(), table(), "other = 1\n") == [
        "line 1: streams: expected greater than or equal to 1",
        "line 1: burst: expected a valid integer",
        "line 8: id: another key has it",
        "line 13: id: another key has it",
        "line 13: other: unknown",
    ]


def test_a_table_written_in_another_way_is_named_by_its_number() -> None:
    inline = f'key = [{{id = "a1B2c3D4", hash = "{HASH}", name = "Ada"}}, {{id = "x"}}]'

    assert {told.partition(":")[0] for told in problems(inline)} == {"key 2"}


@pytest.mark.parametrize(
    ("raw", "told"),
    [
        (b"[[key]\n", "line 1: not TOML"),
        (b'[[key]]\nid = "a', "end of document: not TOML"),
        (b"\xff", "expected UTF-8"),
        (b"keys = 1", "keys: unknown; every table is a [[key]]"),
        (b"key = 1", "key: expected [[key]] tables"),
        (b"key = [1]", "key: expected [[key]] tables"),
        (b" " * (FILE_BYTES + 1), "expected at most 1,048,576 bytes"),
    ],
)
def test_a_file_that_is_none_is_told_in_one_line(raw: bytes, told: str) -> None:
    with pytest.raises(BadKeysFile) as problem:
        read_keys(raw)

    assert problem.value.problems == [told]


def test_an_empty_file_has_no_keys() -> None:
    assert read_keys(b"") == {}


def test_no_problem_quotes_what_stands_in_the_file() -> None:
    assert "canary" not in str(problems(table(id='"canary-1"', hash='"canary"', name="7", not_after='"canary"')))


def test_a_key_does_not_show_its_hash() -> None:
    assert HASH not in repr(read(table())[0])
