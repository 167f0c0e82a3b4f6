"""A model server that says nothing for 200 s, as each foreign client meets it: in a time that jumps."""

import asyncio
import selectors
from collections.abc import Callable
from itertools import pairwise
from typing import Final

import pytest

from services.dialects.ai_sdk import ai_sdk_chunks
from services.dialects.anthropic import AnthropicEvents
from services.dialects.dialect import Dialect, heartbeat_period_s
from services.dialects.foreign import Told, Wanted
from services.dialects.openai_chat import OpenAiChunks
from services.dialects.openai_responses import ResponseEvents
from services.http.sink import SinkWatch
from services.wire.events import Token
from tests.dialects.speech import STARTED, TOLD, ended, sent, wanted

SILENCE_S: Final = 200.0
LATE_S: Final = 0.5
"""A timer that is shared may be so late, and more."""
DIALECTS: Final[dict[str, tuple[Callable[[Wanted, Told], Dialect], float]]] = {
    "anthropic": (AnthropicEvents, 15.0),  # Claude Code gives up after 180 s without an event: a comment is none
    "openai_responses": (ResponseEvents, 15.0),  # Codex after 300 s, likewise
    "openai_chat": (OpenAiChunks, 60.0),
    "ai_sdk": (ai_sdk_chunks, SILENCE_S),  # nobody counts: comments do
}
"""The languages, and the most seconds between two events of each."""


class Jumping(selectors.SelectSelector):
    """Waits for nothing: where it would have to, the time is later."""

    now = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if not ready and timeout is not None:
            self.now += timeout
        return ready


class JumpingLoop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self._jumping = Jumping()
        super().__init__(self._jumping)

    def time(self) -> float:
        return self._jumping.now


class Client:
    """A sink that takes everything at once, and when it came."""

    is_ended = False
    unsent = 0

    def __init__(self) -> None:
        self.came: list[tuple[float, bytes]] = []
        self.written, self.last_write_at = 0, 0.0

    def write(self, frames: bytes) -> bool:
        self.last_write_at = asyncio.get_running_loop().time()
        self.came.append((self.last_write_at, frames))
        self.written += len(frames)
        return True

    def break_off(self) -> None:
        raise AssertionError("nothing failed")

    def times(self, counts: Callable[[bytes], object]) -> list[float]:
        return [at for at, frames in self.came if counts(frames)]


async def silence(dialect: Dialect, wished_s: float) -> Client:
    """Let a stream begin, be silent, and end."""
    client = Client()
    client.write(dialect.open(STARTED))
    watch = SinkWatch(
        client,
        heartbeat=dialect.heartbeat,
        heartbeat_s=heartbeat_period_s(dialect, wished_s),
        write_timeout_s=10.0,
        owes=lambda: False,
        on_stuck=lambda: pytest.fail("a client that takes everything is not stuck"),
    )
    await asyncio.sleep(SILENCE_S)
    watch.stop()
    client.write(dialect.frames([(2, Token("Hello"))]) + dialect.close(ended()))
    return client


def longest(times: list[float]) -> float:
    return max(later - earlier for earlier, later in pairwise(times))


@pytest.mark.parametrize("wished_s", [10.0, 60.0])
@pytest.mark.parametrize("name", DIALECTS)
def test_no_client_waits_longer_than_it_is_willing_to(name: str, wished_s: float) -> None:
    """Bugs 10 and 11: something each 15 s, whatever an operator wishes, and what counts for the client as often."""
    make, most_s = DIALECTS[name]
    with asyncio.Runner(loop_factory=JumpingLoop) as runner:
        client = runner.run(silence(make(wanted(), TOLD), wished_s))

    assert client.came[-1][0] >= SILENCE_S
    assert longest(client.times(bool)) <= min(wished_s, 15.0) + LATE_S
    assert longest(client.times(sent)) <= most_s + LATE_S * 4


@pytest.mark.parametrize("name", DIALECTS)
def test_no_heartbeat_stands_inside_a_frame(name: str) -> None:
    """Each write is whole frames, and all of them together are the same frames."""
    make, _ = DIALECTS[name]
    with asyncio.Runner(loop_factory=JumpingLoop) as runner:
        client = runner.run(silence(make(wanted(), TOLD), 10.0))
    apart = [event for _, frames in client.came for event in sent(frames)]

    assert sent(b"".join(frames for _, frames in client.came)) == apart
    assert [event.data for event in apart if "Hello" in event.data]
