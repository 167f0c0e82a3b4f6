import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial

import pytest

from proxy.settings import ProxySettings
from proxy.streams.caller import Caller, Leave
from proxy.streams.permits import Admission, NotAdmitted, Place
from proxy.streams.registry import DEPARTED_MAX, Begun, Streams, refused_at_the_line
from proxy.streams.stream import Stream
from services.runtime.tasks import Tasks
from services.wire.events import ApiError, Code, Failed, FinishReason, Token
from services.wire.hop import Chat
from services.wire.request import Asked, ModelRequest
from tests.eventually import soon
from tests.proxy.stage import ASKED, REQUEST, Words, turns

DIRECT = Caller("request-1", "anonymous", Leave.DIRECT, "")


def named(follower: str, leave: Leave = Leave.CANCEL, owner: str = "anonymous") -> Caller:
    return Caller("request-1", owner, leave, follower)


class Proxy:
    """The streams of a proxy whose producers wait until a stream is stopped."""

    def __init__(self, permits: int = 64, **settings: object) -> None:
        self.tasks = Tasks()
        self.admission = Admission(permits=permits, queue_length=1, queue_timeout_s=120)
        self.started: list[Stream] = []
        self.streams = Streams(
            ProxySettings.model_validate({"instance": "k3fa", "keep_s": 60, "grace_s": 30, **settings}),
            self._begin,
            provider="ollama",
            tasks=self.tasks,
        )

    def _begin(self, asked: Asked[ModelRequest], caller: Caller) -> Begun:
        try:
            place = self.admission.enter(str(asked.request.model), caller.line, chance=0.5)
        except NotAdmitted as full:
            raise refused_at_the_line(full) from full
        return Begun(place, partial(self._produce, place))

    async def _produce(self, place: Place, stream: Stream) -> None:
        stopped = asyncio.Event()
        stream.produced_by(stopped.set)
        self.started.append(stream)
        await stopped.wait()
        place.leave()
        stream.producer_ended()
        self.streams.ended(stream)

    def start(self, caller: Caller = DIRECT) -> Stream:
        return self.streams.start(ASKED, caller, time.monotonic())

    async def finish(self, stream: Stream) -> None:
        stream.stop(FinishReason.CANCELLED)
        await stream.upstream_closed.reached()


@asynccontextmanager
async def a_proxy(permits: int = 64, **settings: object) -> AsyncIterator[Proxy]:
    proxy = Proxy(permits, **settings)
    try:
        yield proxy
    finally:
        for stream in proxy.started:
            await proxy.finish(stream)
        await proxy.tasks.close()


def refused(proxy: Proxy, caller: Caller = DIRECT) -> ApiError:
    with pytest.raises(ApiError) as refusal:
        proxy.start(caller)
    return refusal.value


# --- ids and owners


async def test_an_id_names_its_proxy_and_128_random_bits() -> None:
    async with a_proxy() as proxy:
        ids = [proxy.start().id for _ in range(20)]
        await turns()

        assert len(set(ids)) == 20
        assert all(one.startswith("k3fa.") and len(one) == len("k3fa.") + 26 for one in ids)


async def test_a_stream_is_found_by_its_owner_only_and_others_cannot_tell() -> None:
    """T9: what is another's and what is not held get the same answer."""
    async with a_proxy() as proxy:
        stream = proxy.start(named("f" * 22, owner="alice"))
        await turns()
        answers = []
        for stream_id, owner in [
            (stream.id, "bob"),
            ("k3fa." + "A" * 26, "alice"),
            ("../../x", "alice"),
            ("", "alice"),
        ]:
            with pytest.raises(ApiError) as gone:
                proxy.streams.find(stream_id, owner)
            answers.append(gone.value.failed)

        assert proxy.streams.find(stream.id, "alice") is stream
        assert {answer.code for answer in answers} == {Code.STREAM_GONE}
        assert len(set(answers)) == 1


# --- at the door


async def test_a_stream_that_takes_a_place_in_line_commits_at_once_and_says_its_place() -> None:
    """Headers leave when the stream takes a place in the waiting line."""
    async with a_proxy(permits=1) as proxy:
        first, second = proxy.start(), proxy.start()
        await turns()

        assert not first.headers_ready.is_reached
        assert await second.headers_ready.reached() is True
        assert second.status is not None
        assert (second.status.phase, second.status.position) == ("queued", 1)
        assert refused(proxy).failed.code is Code.OVERLOADED


async def test_while_draining_new_streams_are_refused_and_told_to_come_back_elsewhere() -> None:
    """L3."""
    async with a_proxy() as proxy:
        proxy.streams.draining = True
        refusals = [refused(proxy) for _ in range(60)]

        assert {(refusal.failed.code, refusal.close) for refusal in refusals} == {(Code.SHUTTING_DOWN, True)}
        assert {refusal.retry_after_s for refusal in refusals} == {1, 2, 3}


async def test_a_follower_that_left_before_it_arrived_starts_nothing() -> None:
    async with a_proxy() as proxy:
        known = proxy.streams.depart("f" * 22, "anonymous", unseen=True)
        refusal = refused(proxy, named("f" * 22))

        assert known is False
        assert refusal.failed.code is Code.STREAM_GONE
        assert proxy.started == []


async def test_names_of_those_who_left_early_are_bounded() -> None:
    async with a_proxy() as proxy:
        for number in range(DEPARTED_MAX + 500):
            proxy.streams.depart(f"follower-{number:020}", "anonymous", unseen=False)

        assert len(proxy.streams._departed) == DEPARTED_MAX  # noqa: SLF001 nothing else shows what is remembered


# --- followers by name


async def test_a_gateway_s_word_reaches_the_stream_of_its_follower() -> None:
    async with a_proxy() as proxy:
        stream, other = proxy.start(named("a" * 22)), proxy.start(named("b" * 22))
        await turns()
        follower = proxy.streams.join(stream, Words(), "a" * 22, position=0, began=True)
        proxy.streams.join(other, Words(), "b" * 22, position=0, began=True)

        assert proxy.streams.followers == 2
        assert proxy.streams.depart("a" * 22, "anonymous", unseen=False) is True
        assert follower.cut_as == "client_gone"
        assert (stream.state, other.state) == ("finished", "queued")


async def test_a_word_under_another_owner_is_about_nobody() -> None:
    async with a_proxy() as proxy:
        stream = proxy.start(named("a" * 22, owner="alice"))
        await turns()
        proxy.streams.join(stream, Words(), "a" * 22, position=0, began=True)

        assert proxy.streams.depart("a" * 22, "bob", unseen=True) is False
        assert stream.log.end is None


async def test_a_ninth_follower_is_refused_by_its_code() -> None:
    """C13: 429."""
    async with a_proxy() as proxy:
        stream = proxy.start()
        await turns()
        for number in range(8):
            proxy.streams.join(stream, Words(), f"follower-{number:020}", position=0)

        with pytest.raises(ApiError) as refusal:
            proxy.streams.join(stream, Words(), "one-too-many", position=0)

        assert refusal.value.failed.code is Code.CONCURRENCY_LIMITED


# --- repeated keys


def keyed(key: str, owner: str = "anonymous") -> Caller:
    return Caller("request-1", owner, Leave.CANCEL, "", key)


async def test_a_chat_is_its_newest_stream_for_its_owner_until_that_is_over() -> None:
    async with a_proxy() as proxy:
        chatting = replace(named("f" * 22, Leave.CONTINUE), chat=Chat("c" * 16))
        first, second = proxy.start(chatting), proxy.start(chatting)
        await soon(lambda: len(proxy.started) == 2)

        assert proxy.streams.of_chat("c" * 16, "anonymous") is second
        assert proxy.streams.of_chat("c" * 16, "alice") is None
        assert proxy.streams.of_chat("d" * 16, "anonymous") is None

        await proxy.finish(second)

        assert proxy.streams.of_chat("c" * 16, "anonymous") is None
        assert first.log.end is None


async def test_a_repeated_key_names_its_running_stream_to_its_owner_only() -> None:
    async with a_proxy() as proxy:
        stream = proxy.start(keyed("k" * 22))
        await turns()

        assert proxy.streams.keyed(ASKED, keyed("k" * 22)) is stream
        assert proxy.streams.keyed(ASKED, keyed("k" * 22, "bob")) is None
        assert proxy.streams.keyed(ASKED, keyed("x" * 22)) is None
        assert proxy.streams.keyed(ASKED, DIRECT) is None


async def test_a_key_that_was_used_for_another_body_is_a_conflict() -> None:
    async with a_proxy() as proxy:
        proxy.start(keyed("k" * 22))
        await turns()
        with pytest.raises(ApiError) as refusal:
            proxy.streams.keyed(ASKED._replace(request=replace(REQUEST, think=True)), keyed("k" * 22))

        assert refusal.value.failed.code is Code.IDEMPOTENCY_CONFLICT


@pytest.mark.parametrize(
    ("end", "is_held"),
    [
        (FinishReason.STOP, True),
        (FinishReason.CANCELLED, False),
        (FinishReason.ABANDONED, False),
        (Failed(Code.UPSTREAM_ERROR, "words"), False),
    ],
)
async def test_a_stream_that_was_stopped_or_failed_frees_its_key(end: FinishReason | Failed, *, is_held: bool) -> None:
    async with a_proxy() as proxy:
        stream = proxy.start(keyed("k" * 22))
        await turns()
        stream.finish(end)

        assert (proxy.streams.keyed(ASKED, keyed("k" * 22)) is stream) is is_held


# --- memory


def fill(stream: Stream, size: int) -> None:
    for _ in range(size // 10_000):
        stream.log.text(Token, "x" * 10_000)
    stream.deliver()


async def test_when_all_memory_is_taken_finished_logs_go_oldest_end_first() -> None:
    async with a_proxy(log_bytes=1 << 19, logs_total_bytes=1 << 20) as proxy:
        streams = [proxy.start() for _ in range(4)]
        await turns()
        for stream in (streams[1], streams[0]):
            fill(stream, 400_000)
            await proxy.finish(stream)
        fill(streams[2], 400_000)

        with pytest.raises(ApiError):
            proxy.streams.find(streams[1].id, "anonymous")
        assert proxy.streams.find(streams[0].id, "anonymous") is streams[0]
        assert proxy.streams.held_bytes == sum(streams[number].log.size for number in (0, 2))


async def test_a_running_stream_is_never_cut_for_memory_and_new_ones_are_overloaded_instead() -> None:
    """O9."""
    async with a_proxy(log_bytes=1 << 19, logs_total_bytes=1 << 20) as proxy:
        streams = [proxy.start() for _ in range(3)]
        await turns()
        for stream in streams:
            fill(stream, 500_000)
        refusal = refused(proxy)

        assert refusal.failed.code is Code.OVERLOADED
        assert [stream.log.end for stream in streams] == [None] * 3
        await proxy.finish(streams[0])
        assert proxy.start().log.end is None


async def test_a_forgotten_stream_leaves_no_byte_and_no_name_behind() -> None:
    async with a_proxy(keep_s=0.05, grace_s=0.05) as proxy:
        stream = proxy.start(named("a" * 22))
        await turns()
        follower = proxy.streams.join(stream, Words(), "a" * 22, position=0, began=True)
        fill(stream, 100_000)
        stream.leave(follower)
        await proxy.finish(stream)
        await soon(lambda: proxy.streams.held_bytes == 0, "it is forgotten")
        proxy.started.clear()
        stream_id = stream.id
        del stream, follower  # and with the last name it is gone, without the collector of cycles

        assert proxy.streams.depart("a" * 22, "anonymous", unseen=False) is False
        with pytest.raises(ApiError):
            proxy.streams.find(stream_id, "anonymous")
        assert (proxy.streams.running, proxy.streams.followers) == (0, 0)


# --- idleness


async def test_idle_returns_when_the_last_stream_has_given_everything_back() -> None:
    async with a_proxy() as proxy:
        streams = [proxy.start() for _ in range(2)]
        await turns()
        waiting = proxy.tasks.spawn(proxy.streams.idle(), "waits")
        await proxy.finish(streams[0])
        await turns()
        early = waiting.done()
        await proxy.finish(streams[1])
        await waiting

        assert not early
        assert proxy.streams.running == 0
        assert list(proxy.streams) == []


async def test_a_stream_counts_as_running_until_its_producer_is_over() -> None:
    async with a_proxy() as proxy:
        stream = proxy.start()
        await turns()
        stream.finish(FinishReason.CANCELLED)

        assert proxy.streams.running == 1
        assert list(proxy.streams) == [stream]
