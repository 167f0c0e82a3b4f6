"""The producer (proxy/upstream/producer.py) on a route of two servers."""

import time
from math import inf

import pytest

from proxy.upstream.deadlines import Deadlines
from services.http.connection import ResponseEnd
from services.wire.events import Finished, FinishReason, ServedBy
from tests.eventually import soon
from tests.proxy.stage import turns
from tests.proxy.upstream.production import MODEL, WHOLE, line, outcome_of, produced
from tests.proxy.upstream.scripted_transport import Attempt, Connects, HangsConnecting

FAILING = Connects([], ResponseEnd.COMPLETE, 503)


async def test_where_the_first_fails_the_next_one_is_asked_and_everything_is_given_back() -> None:
    """U5: the connection and the permit before the next line is entered."""
    stage = await outcome_of(FAILING, then=[[WHOLE]], named=True)

    end = stage.stream.log.end
    assert isinstance(end, Finished)
    assert end.served_by == ServedBy("ollama", MODEL, attempts=2, server="server-2")
    assert (stage.text, stage.noted.repeats) == ("Hello", ["503"])
    assert stage.noted.steps == ["server-1 -> server-2: 5xx"]
    assert stage.noted.permits == ["admitted", "admitted"]
    stage.assert_everything_is_given_back()


async def test_who_waits_too_long_in_one_line_is_asked_for_at_the_next() -> None:
    stage = await outcome_of(WHOLE, then=[[WHOLE]], in_line=True, queue_s=0.05)

    assert (stage.text, stage.noted.permits) == ("Hello", ["timeout", "admitted"])
    assert [transport.fresh for transport in stage.transports] == [[], [False]]
    assert stage.noted.steps == ["server-1 -> server-2: queue_wait"]
    stage.assert_everything_is_given_back()


async def test_who_is_silent_before_its_first_token_is_left_for_the_next() -> None:
    """U7."""
    stage = await outcome_of(
        Connects([line()]), then=[[WHOLE]], deadlines=Deadlines(first_token_s=0.1, idle_s=30, total_s=30)
    )

    assert (stage.text, stage.noted.steps) == ("Hello", ["server-1 -> server-2: first_token"])
    stage.assert_everything_is_given_back()


async def test_who_loads_its_model_is_waited_for_as_long_as_the_last_would_be(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("proxy.upstream.deadlines.NEXT_AFTER_S", 0.0)
    deadlines = Deadlines(first_token_s=0.2, idle_s=30, total_s=30)
    async with produced(Connects([line()]), then=[[WHOLE]], deadlines=deadlines) as stage:
        monkeypatch.setattr(stage.wedges, "absent_at", {MODEL: inf}.__getitem__)
        began_at = time.monotonic()
        await stage.begin()
        await stage.over()

        assert stage.noted.steps == ["server-1 -> server-2: first_token"]
        assert time.monotonic() - began_at > deadlines.first_token_s / 2  # a timer may come a little early


async def test_who_falls_silent_behind_content_is_not_left_for_another() -> None:
    """U8, P2."""
    stage = await outcome_of(
        Connects([line("a")]), then=[[WHOLE]], deadlines=Deadlines(first_token_s=30, idle_s=0.1, total_s=30)
    )

    assert (stage.text, stage.end, stage.transports[1].fresh) == ("a", "upstream_timeout", [])
    stage.assert_everything_is_given_back()


async def test_for_a_reader_who_is_gone_when_the_first_has_failed_no_other_is_asked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It may come back, and begin anew: until then no other server works for nobody."""
    async with produced(FAILING, then=[[WHOLE]]) as stage:

        def leave(_server: str, _why: str) -> None:
            for follower in tuple(stage.stream.followers):
                stage.stream.leave(follower)

        monkeypatch.setattr(stage.noted, "call_repeated", leave)
        await stage.begin()
        await stage.over()

        assert (stage.end, [transport.fresh for transport in stage.transports]) == ("abandoned", [[False], []])
        stage.assert_everything_is_given_back()


@pytest.mark.parametrize("waits_at", [HangsConnecting(), Connects(status=None), Connects([line()])])
async def test_who_leaves_while_the_next_is_asked_gives_everything_back(waits_at: Attempt) -> None:
    async with produced(FAILING, then=[[waits_at]]) as stage:
        await stage.begin()
        await soon(lambda: stage.transports[1].fresh, "the second is asked")
        await turns()
        stage.stream.stop(FinishReason.CANCELLED)
        await stage.over()

        assert stage.end == "cancelled"
        stage.assert_everything_is_given_back()
