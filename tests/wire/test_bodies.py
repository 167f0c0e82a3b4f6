"""One row a field: where it is taken, values at and under its limits, values over them and of a wrong type."""

import base64
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import orjson
import pytest

from services.wire.events import Code
from services.wire.request import Asked, BadBody, Wishes
from tests.wire.requests import (
    CALL,
    CHAT_ROUTES,
    GATEWAY_ROUTES,
    GENERATE_ROUTES,
    PNG,
    PROXY_ROUTES,
    READERS,
    ROUTES,
    TOOL,
    TURNS,
    Path,
    field_of,
    full_body,
    name_of,
    read,
    sent,
    with_field,
    without_field,
)

ApiError = dict[str, list[Any]]  # our words, and values that earn them


@dataclass(frozen=True)
class Field:
    path: Path
    routes: tuple[str, ...]
    taken: list[Any]
    refused: ApiError
    required: bool = False


def image(head: bytes) -> str:
    return base64.b64encode(head + b"\0" * 8).decode()


def schema_of(size: int) -> dict[str, str]:
    return {"title": "x" * (size - len(b'{"title":""}'))}


NO_STRING: ApiError = {"must be a string": [5, 1.5, True, [], {}]}
NO_BOOL: ApiError = {"must be true or false": ["true", 0, 1, 1.0, [], {}]}
NO_LIST: ApiError = {"must be a list": ["x", 5, True, {}]}
NO_OBJECT: ApiError = {"must be an object": ["x", 5, True, []]}
NO_FLOAT: ApiError = {
    "must be a number": ["0.7", True, False, [], {}],
    "must be at most 3.4028234663852886e+38": [3.5e38, 1e308],
    "must be at least -3.4028234663852886e+38": [-3.5e38],
}
NO_INTEGER: ApiError = {
    "must be an integer": ["5", 3.5, True, [], {}],
    "must be at most 2147483647": [2**31, 2**63 - 1, 2**64, 1e300],
    "must be at least -2147483648": [-(2**31) - 1],
}
NO_THINK: ApiError = {
    "must be true, false or a word of 1 to 16 letters": ["", "x" * 17, "very high", "ё", "low\n", 0, 1, 1.5, [], {}]
}
NO_IMAGE: ApiError = {
    "must be the plain base64 of a PNG, JPEG, WebP or GIF image": [
        "",
        "https://example.org/cat.png",
        f"data:image/png;base64,{PNG}",
        PNG[:-1],
        PNG + "é",
        PNG.replace("A", "*") + "*",
        image(b"RIFF\0\0\0\0WAVE"),
        image(b"GIF86a"),
        image(b"<svg"),
        image(b"%PDF-1.7"),
    ],
    **NO_STRING,
}
NO_SCHEMA: ApiError = {
    'must be "json" or a JSON schema of at most 64 KiB': [
        *(" ", "yaml", 5, True, [], ["json"]),
        *({"type": "objekt"}, {"type": None}, {"type": ["string", 5]}, {"properties": []}),
        schema_of((64 << 10) + 1),
    ]
}
NO_KEEP_ALIVE: ApiError = {
    "must be a number of seconds or a duration of at most 32 characters": [True, [], {}, "5" * 33]
}
FLOATS = [0, 1, 0.7, -1.5, 3.4e38, -3.4e38]
INTEGERS = [0, -1, 1, 2**31 - 1, -(2**31), 128.0, 1e2, -0.0]
IMAGES = [
    image(head) for head in (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff\xe0", b"GIF87a", b"GIF89a", b"RIFF\n\0\0\nWEBPVP8 ")
]
IMAGES += ["\r\n".join((IMAGES[0][:7], IMAGES[0][7:], "")), f"\n{PNG}\n"]  # as MIME's encoders break lines
MESSAGE = ("messages", 0)
HOP = ("hop chat",)
PEOPLE = tuple(route for route in CHAT_ROUTES if route not in HOP)
SEAL = {"provider": "anthropic", "data": {"signature": "x" * 65_000, "of": {"a": None}}}
CALLED = ("messages", 1, "tool_calls", 0)
OFFERED = ("tools", 0)

FIELDS = [
    Field(
        ("model",),
        ROUTES,
        ["m", "é" * 256],
        {"must not be empty": [""], "must have at most 256 characters": ["m" * 257]} | NO_STRING,
    ),
    Field(("think",), ROUTES, [True, False, "low", "medium", "high", "max", "LOW", "x" * 16], NO_THINK),
    Field(
        ("format",),
        ROUTES,
        ["json", {}, {"type": "object", "properties": {"a": {"enum": [None]}}}, schema_of(64 << 10)],
        NO_SCHEMA,
    ),
    Field(("options",), ROUTES, [{}, {"top_p": 0.9}], NO_OBJECT),
    *(
        Field(("options", name), ROUTES, FLOATS, NO_FLOAT)
        for name in (
            *("temperature", "top_p", "min_p", "typical_p", "repeat_penalty", "presence_penalty", "frequency_penalty"),
        )
    ),
    *(Field(("options", name), ROUTES, INTEGERS, NO_INTEGER) for name in ("top_k", "num_predict", "repeat_last_n")),
    Field(
        ("options", "seed"),
        ROUTES,
        [*INTEGERS, 2**63 - 1, -(2**63)],
        {"must be an integer": ["5", 3.5, True], "must be at most 9223372036854775807": [2**63]},
    ),
    Field(("options", "stop"), ROUTES, [[], ["x"], ["x"] * 16], {"must have at most 16 items": [["x"] * 17]} | NO_LIST),
    Field(("stream",), PROXY_ROUTES, [], NO_BOOL),
    Field(("messages",), PEOPLE, [TURNS[:1] * 1000], {"must have at most 1000 items": [TURNS[:1] * 1001]} | NO_LIST),
    Field(("messages",), HOP, [TURNS * 2500], {"must have at most 10000 items": [TURNS[:1] * 10001]} | NO_LIST),
    Field(MESSAGE, CHAT_ROUTES, [], NO_OBJECT),
    Field(
        (*MESSAGE, "role"),
        ("gateway chat",),
        ["user"],
        {"must be 'system', 'user', 'assistant' or 'tool'": ["control", "developer", "", " user"]} | NO_STRING,
        required=True,
    ),
    Field(
        (*MESSAGE, "role"),
        ("hop chat", "proxy chat"),
        ["user", "control", "thinking", "document 1", "é" * 64],
        {"must be 1 to 64 printable characters": ["", "x" * 65, "user\n", "\0"]} | NO_STRING,
        required=True,
    ),
    Field((*MESSAGE, "content"), CHAT_ROUTES, ["hi", "\0 \u2028 🌊", "x" * 100_000], NO_STRING),
    Field((*MESSAGE, "thinking"), CHAT_ROUTES, ["", "hm"], NO_STRING),
    Field((*MESSAGE, "tool_name"), CHAT_ROUTES, ["", "clock"], NO_STRING),
    Field((*MESSAGE, "tool_call_id"), CHAT_ROUTES, ["", "call_1"], NO_STRING),
    Field(
        (*MESSAGE, "images"),
        CHAT_ROUTES,
        [[], IMAGES, [PNG] * 16],
        {"must have at most 16 items": [[PNG] * 17]} | NO_LIST,
    ),
    Field((*MESSAGE, "extra"), CHAT_ROUTES, [[], [SEAL] * 64], {"must have at most 64 items": [[SEAL] * 65]} | NO_LIST),
    Field((*CALLED, "extra"), CHAT_ROUTES, [SEAL], NO_OBJECT),
    Field((*MESSAGE, "tool_calls"), CHAT_ROUTES, [[], [CALL] * 2], NO_LIST),
    Field(CALLED, CHAT_ROUTES, [], NO_OBJECT),
    Field((*CALLED, "id"), CHAT_ROUTES, ["", "call_1"], NO_STRING),
    Field((*CALLED, "function"), CHAT_ROUTES, [], NO_OBJECT, required=True),
    Field((*CALLED, "function", "name"), CHAT_ROUTES, ["f"], {"must not be empty": [""]} | NO_STRING, required=True),
    Field((*CALLED, "function", "index"), CHAT_ROUTES, [0, 7], NO_INTEGER),
    Field(
        (*CALLED, "function", "arguments"),
        CHAT_ROUTES,
        [{}, {"a": [None]}],
        {"must be an object": ["{}", 5, []]},
    ),
    Field(("tools",), PEOPLE, [[], [TOOL] * 128], {"must have at most 128 items": [[TOOL] * 129]} | NO_LIST),
    Field(("tools",), HOP, [[], [TOOL] * 512], {"must have at most 512 items": [[TOOL] * 513]} | NO_LIST),
    Field(OFFERED, CHAT_ROUTES, [], NO_OBJECT),
    Field(
        (*OFFERED, "type"),
        CHAT_ROUTES,
        ["function", "", "custom"],
        {"must have at most 64 characters": ["x" * 65]} | NO_STRING,
    ),
    Field((*OFFERED, "function"), CHAT_ROUTES, [], NO_OBJECT, required=True),
    Field((*OFFERED, "function", "name"), CHAT_ROUTES, ["f"], {"must not be empty": [""]} | NO_STRING, required=True),
    Field((*OFFERED, "function", "description"), CHAT_ROUTES, ["", "tells"], NO_STRING),
    Field((*OFFERED, "function", "parameters"), CHAT_ROUTES, [{}, {"any": [{"thing": None}]}], NO_OBJECT),
    Field(("prompt",), GENERATE_ROUTES, ["hi", " "], NO_STRING),
    Field(("system",), GENERATE_ROUTES, ["", "be brief"], NO_STRING),
    Field(("suffix",), GENERATE_ROUTES, ["", "}"], NO_STRING),
    Field(("images",), GENERATE_ROUTES, [[], [PNG] * 16], {"must have at most 16 items": [[PNG] * 17]} | NO_LIST),
    Field(("raw",), ("hop generate", "proxy generate"), [True, False], NO_BOOL),
    Field(("message",), ("gateway chat",), [], NO_STRING),
    Field(("system",), ("gateway chat",), [], NO_STRING),
    Field(("on_disconnect",), GATEWAY_ROUTES, [], {"must be 'cancel' or 'continue'": ["", "stop", 5, True]}),
    Field(
        ("conversation_id",),
        GATEWAY_ROUTES,
        [],
        {"must match ^[A-Za-z0-9._~-]{1,64}$": ["", "x" * 65, "a b", "a\n", "\n", "é", "\u0661"]} | NO_STRING,
    ),
    Field(("stream",), GATEWAY_ROUTES, [], NO_BOOL),
]
ELEMENTS = [
    Field((*MESSAGE, "images", 0), CHAT_ROUTES, [], NO_IMAGE),
    Field(("images", 0), GENERATE_ROUTES, [], NO_IMAGE),
    Field(("options", "stop", 0), ROUTES, [], {"must be a string": [5, None, []]}),
    Field(MESSAGE, CHAT_ROUTES, [], {"must be an object": [None]}),
]


def cases(fields: Iterable[Field]) -> list[Any]:
    return [
        pytest.param(field, route, id=f"{route}-{name_of(field.path)}") for field in fields for route in field.routes
    ]


def around(field: Field, route: str) -> dict[str, Any]:
    """Return a body in which the field can be set: an element needs its list."""
    body = full_body(route)
    *way, last = field.path
    is_element = isinstance(last, int) and way[-1] in ("images", "stop")
    return with_field(body, tuple(way), [None]) if is_element else body


@pytest.mark.parametrize(("field", "route"), cases(field for field in FIELDS if field.taken))
def test_a_value_within_its_limits_goes_on_as_it_came(field: Field, route: str) -> None:
    """And what the gateway sends on, the proxy takes as it is."""
    for value in field.taken:
        asked = read(route, with_field(full_body(route), field.path, value))

        assert field_of(sent(asked), field.path) == value
        assert read(f"hop {asked.request.kind}", sent(asked)) == Asked(asked.request, Wishes())


def may_be_absent(field: Field) -> bool:
    is_element = isinstance(field.path[-1], int)
    return not (field.required or is_element or field.path in {("prompt",), ("messages",), ("model",)})


@pytest.mark.parametrize(("field", "route"), cases(filter(may_be_absent, FIELDS)))
def test_null_is_absent(field: Field, route: str) -> None:
    absent = read(route, without_field(full_body(route), field.path))

    assert read(route, with_field(full_body(route), field.path, None)) == absent


@pytest.mark.parametrize(("field", "route"), cases(field for field in FIELDS if field.required))
def test_a_required_field_is_missed_whether_absent_or_null(field: Field, route: str) -> None:
    for body in (without_field(full_body(route), field.path), with_field(full_body(route), field.path, None)):
        with pytest.raises(BadBody) as refusal:
            read(route, body)

        assert refusal.value.message == f"{name_of(field.path)} is required"


@pytest.mark.parametrize(("field", "route"), cases(FIELDS + ELEMENTS))
def test_a_value_beyond_its_limits_is_refused_by_name(field: Field, route: str) -> None:
    for words, values in field.refused.items():
        for value in values:
            with pytest.raises(BadBody) as refusal:
                read(route, with_field(around(field, route), field.path, value))

            assert refusal.value.message == f"{name_of(field.path)} {words}"


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize(
    "raw",
    [
        *(b"", b" ", b"null", b"[]", b'"hi"', b"5", b"{", b'{"a":1', b"{'a':1}", b'{"a":1}x', b"{}{}", b'{"a":NaN}'),
        *(b'{"a":1e309}', b'{"a":"\xff"}', b'\xef\xbb\xbf{"message":"hi"}'),
        '{"message":"hi"}'.encode("utf-16"),
        b"[" * 10_000,
        b"[" * 10_000 + b"]" * 10_000,
        b'{"a":' * 10_000 + b"1" + b"}" * 10_000,
        b'{"a":' * 1_000 + b"1" + b"}" * 1_000,
        b"[" + b",".join([b"[]"] * 300_000) + b"]",
    ],
    ids=lambda raw: repr(raw[:20]),
)
def test_what_is_no_json_object_is_refused_with_what_to_do(route: str, raw: bytes) -> None:
    with pytest.raises(BadBody) as refusal:
        READERS[route](raw)

    assert refusal.value.message == "Send one JSON object, in UTF-8, nested at most 160 levels deep"
    assert refusal.value.code is Code.INVALID_REQUEST


def nested(levels: int, opening: bytes, closing: bytes) -> bytes:
    return opening * levels + b"1" + closing * levels


@pytest.mark.parametrize(
    "brackets", [(b"[", b"]"), (b'{"a":', b"}"), (b'[{"a":', b"}]")], ids=["lists", "objects", "both"]
)
def test_160_levels_pass_and_161_do_not(brackets: tuple[bytes, bytes]) -> None:
    levels_each = brackets[0].count(b"[") + brackets[0].count(b"{")
    path = (*OFFERED, "function", "parameters")
    head, tail = orjson.dumps(with_field(full_body("proxy chat"), path, {"a": "HERE"})).split(b'"HERE"')
    room = (160 - 5) // levels_each  # the body, the tools, the tool, its function and the parameters are five

    fits = READERS["proxy chat"](head + nested(room, *brackets) + tail)
    with pytest.raises(BadBody, match="160 levels"):
        READERS["proxy chat"](head + nested(room + 1, *brackets) + tail)

    assert field_of(sent(fits), path) == {"a": orjson.loads(nested(room, *brackets))}


@pytest.mark.parametrize("route", ROUTES)
def test_too_deep_is_refused_in_a_field_that_would_be_dropped_too(route: str) -> None:
    raw = orjson.dumps(full_body(route))[:-1] + b',"keep_alive":' + nested(160, b"[", b"]") + b"}"

    with pytest.raises(BadBody, match="160 levels"):
        READERS[route](raw)


@pytest.mark.parametrize("route", ROUTES)
def test_of_a_key_given_twice_the_last_counts(route: str) -> None:
    raw = orjson.dumps(full_body(route))[:-1] + b',"options":{"seed":1},"options":{"seed":2,"seed":3}}'

    assert sent(READERS[route](raw))["options"] == {"seed": 3}


PLACES: list[tuple[Path, tuple[str, ...]]] = [
    ((), ROUTES),
    (("options",), ROUTES),
    (MESSAGE, CHAT_ROUTES),
    (CALLED, CHAT_ROUTES),
    ((*CALLED, "function"), CHAT_ROUTES),
    (OFFERED, CHAT_ROUTES),
    ((*OFFERED, "function"), CHAT_ROUTES),
]


@pytest.mark.parametrize(("place", "route"), [(place, route) for place, routes in PLACES for route in routes])
def test_an_unknown_key_is_refused_by_name_at_the_gateway_and_dropped_at_the_proxy(place: Path, route: str) -> None:
    body = with_field(full_body(route), (*place, "Surprise"), "a secret")

    if route in PROXY_ROUTES:
        assert read(route, body) == read(route, full_body(route))
    else:
        with pytest.raises(BadBody) as refusal:
            read(route, body)
        assert refusal.value.message == f"unknown field: {name_of((*place, 'Surprise'))}"


@pytest.mark.parametrize(("place", "route"), [(place, route) for place, routes in PLACES for route in routes])
def test_an_unknown_key_that_is_null_is_absent(place: Path, route: str) -> None:
    body = with_field(full_body(route), (*place, "surprise"), None)

    assert read(route, body) == read(route, full_body(route))


@pytest.mark.parametrize("count", [2, 100_000])
def test_of_many_unknown_keys_the_first_is_named(count: int) -> None:
    with pytest.raises(BadBody) as refusal:
        read("gateway chat", full_body("gateway chat") | {f"k{n}": n for n in range(count)})

    assert refusal.value.message == "unknown field: k0"


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("", ""),
        ("x" * 5000, "x" * 64),
        ("a\r\n\x1b[31m\u202eb\0", "a???[31m?b?"),
        (".a.", ".a."),
        ("{type}", "{type}"),
        ("%s", "%s"),
    ],
)
def test_a_field_name_is_shown_printable_and_short(name: str, shown: str) -> None:
    with pytest.raises(BadBody) as refusal:
        read("gateway generate", {"prompt": "hi", name: 1})

    assert refusal.value.message == f"unknown field: {shown}"


def test_a_refusal_holds_nothing_of_the_body() -> None:
    """Neither its words nor the exceptions behind it, which a log would print with it."""
    with pytest.raises(BadBody) as refusal:
        read("gateway chat", {"message": ["CANARY"], "options": {"CANARY": "CANARY"}, "model": "CANARY" * 99})

    assert "CANARY" not in str(refusal.value)
    assert refusal.value.__cause__ is None
    assert refusal.value.__context__ is None
