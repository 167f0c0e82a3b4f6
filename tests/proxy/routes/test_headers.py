from collections.abc import Mapping

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request

from proxy.errors import answer
from proxy.routes.headers import ANONYMOUS, NATIVE, caller_of, dialect_of, is_follower, position_asked
from proxy.streams.caller import Leave
from proxy.streams.log import RUN_BYTES
from services.dialects.seed import SeedFrames
from services.http import edge
from services.wire.events import ApiError, Code, Token
from services.wire.hop import Chat
from services.wire.ids import BadPosition
from services.wire.native import NativeFrames
from services.wire.request import BadBody
from tests.proxy.stage import STREAM_ID, a_stream


def request(headers: Mapping[str, str] | None = None, path: str = "/") -> web.Request:
    made = make_mocked_request("GET", path, headers=dict(headers or {}))
    made[edge.REQUEST_ID] = "request-1"
    return made


# --- who asks


def test_who_says_nothing_is_a_direct_anonymous_client() -> None:
    caller = caller_of(request())

    assert (caller.leave, caller.owner, caller.follower, caller.key) == (Leave.DIRECT, ANONYMOUS, "", "")
    assert caller.request_id == "request-1"


def test_a_gateway_says_who_asks_and_what_leaving_means() -> None:
    caller = caller_of(
        request(
            {
                "Sluice-Leave": "continue",
                "Sluice-Owner": "alice",
                "Sluice-Follower": "f" * 22,
                "Idempotency-Key": "k" * 22,
            }
        )
    )

    assert (caller.leave, caller.owner, caller.follower, caller.key) == (Leave.CONTINUE, "alice", "f" * 22, "k" * 22)


@pytest.mark.parametrize(
    ("headers", "chat"),
    [
        ({}, None),
        ({"Sluice-Message": "m1"}, None),
        ({"Sluice-Chat": "c" * 16}, Chat("c" * 16)),
        ({"Sluice-Chat": "c" * 128, "Sluice-Message": "m/1"}, Chat("c" * 128, "m/1")),
    ],
)
def test_a_gateway_says_which_chat_of_a_page_it_is_for(headers: dict[str, str], chat: Chat | None) -> None:
    assert caller_of(request(headers)).chat == chat


@pytest.mark.parametrize(
    "headers",
    [
        {"Sluice-Chat": ""},
        {"Sluice-Chat": "c" * 15},
        {"Sluice-Chat": "c" * 129},
        {"Sluice-Chat": "c" * 16 + "/"},
        {"Sluice-Chat": "c" * 16, "Sluice-Message": "m" * 257},
    ],
)
def test_a_chat_s_name_that_has_not_its_form_is_refused(headers: dict[str, str]) -> None:
    """A short one could be guessed, and where nobody has a key it is all that is asked for."""
    with pytest.raises(ApiError, match="invalid_request"):
        caller_of(request(headers))


@pytest.mark.parametrize(
    "headers",
    [
        {"Sluice-Leave": "direct"},
        {"Sluice-Leave": "Cancel"},
        {"Sluice-Leave": ""},
        {"Sluice-Owner": ""},
        {"Sluice-Owner": "a b"},
        {"Sluice-Owner": "a" * 129},
        {"Sluice-Follower": "short"},
        {"Sluice-Follower": "f" * 65},
        {"Sluice-Follower": "f" * 21 + "/"},
    ],
)
def test_a_gateway_is_not_trusted_with_the_form_of_its_words(headers: dict[str, str]) -> None:
    with pytest.raises(ApiError) as refusal:
        caller_of(request(headers))

    assert refusal.value.failed.code is Code.INVALID_REQUEST


@pytest.mark.parametrize("key", ["short", "k" * 65, "k" * 21 + " ", "k" * 21 + "ё"])
def test_a_key_that_could_be_guessed_or_is_no_key_is_refused(key: str) -> None:
    with pytest.raises(BadBody):
        caller_of(request({"Idempotency-Key": key}))


@pytest.mark.parametrize(("name", "is_one"), [("f" * 22, True), ("f-_9" * 16, True), ("f" * 21, False), ("", False)])
def test_a_follower_s_name_has_a_form(name: str, *, is_one: bool) -> None:
    assert is_follower(name) is is_one


# --- in which dialect


@pytest.mark.parametrize(
    ("accept", "dialect"),
    [
        (NATIVE, NativeFrames),
        ("text/event-stream; dialect=native", NativeFrames),
        ("text/event-stream", SeedFrames),
        ("*/*", SeedFrames),
        ("", SeedFrames),
        (f"{NATIVE}, */*", SeedFrames),
    ],
)
async def test_only_who_asks_for_native_frames_gets_them(accept: str, dialect: type[object]) -> None:
    async with a_stream() as stage:
        made = dialect_of(request({"Accept": accept}), stage.stream, heartbeat_s=10)

        assert isinstance(made, dialect)


# --- from which number


@pytest.mark.parametrize(
    ("path", "last_event_id", "position"),
    [
        ("/", None, 0),
        ("/?after=2", None, 2),
        ("/?after=1", f"{STREAM_ID}-3", 3),
        ("/", f"{STREAM_ID}-0", 0),
    ],
)
async def test_the_header_wins_over_the_query_and_neither_means_the_start(
    path: str, last_event_id: str | None, position: int
) -> None:
    async with a_stream() as stage:
        stage.say("a", "b")
        headers = {} if last_event_id is None else {"Last-Event-ID": last_event_id}

        assert position_asked(request(headers, path), stage.stream) == position


@pytest.mark.parametrize(
    ("path", "last_event_id"),
    [
        ("/?after=x", None),
        ("/?after=-1", None),
        ("/?after=4", None),
        ("/?after=", None),
        ("/", "k3fa.AAAAAAAAAAAAAAAAAAAAAAAAAA-1"),
        ("/", "1"),
        ("/", ""),
        ("/", f"{STREAM_ID}-"),
        ("/", f"{STREAM_ID}-{'9' * 10_000}"),
    ],
)
async def test_what_is_no_position_asked_this_stream_is_a_bad_request(path: str, last_event_id: str | None) -> None:
    """C12."""
    async with a_stream() as stage:
        stage.say("a", "b")
        headers = {} if last_event_id is None else {"Last-Event-ID": last_event_id}
        asked = request(headers, path)
        with pytest.raises(BadPosition) as caught:
            position_asked(asked, stage.stream)
        answered = answer(caught.value, asked)

        assert answered is not None
        assert answered[0] == 400


async def test_a_position_that_has_left_the_log_is_gone() -> None:
    """C11."""
    async with a_stream(log_bytes=2 * RUN_BYTES) as stage:
        for _ in range(5):
            stage.stream.log.text(Token, "x" * RUN_BYTES)
        stage.stream.deliver()
        with pytest.raises(ApiError) as refusal:
            position_asked(request(), stage.stream)

        assert refusal.value.failed.code is Code.STREAM_GONE
