import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from structlog.testing import capture_logs

from proxy.upstream.deadlines import Deadlines
from services.wire.events import FinishReason
from tests.eventually import soon
from tests.proxy.stage import turns
from tests.proxy.upstream.production import MODEL, WHOLE, ProducerStage, line, produced
from tests.proxy.upstream.scripted_transport import Connects

SILENT = Connects()
LISTED_AS = f"{MODEL}:latest"
LOADED = frozenset({LISTED_AS})
SHORT = Deadlines(first_token_s=0.05, idle_s=30, total_s=30)
EVERY_WAIT_IS_TOO_LONG_S = 0.0


class Spoke:
    """A call that has content: where we close it early its permit can be lost."""

    patience = 1
    has_content = True
    is_closed_early = True

    def __init__(self) -> None:
        self.asked_at = self.first_content_at = self.content_at = time.monotonic() - 1000.0


@asynccontextmanager
async def waiting_in_vain(*attempts: Connects, cures: bool = True) -> AsyncIterator[ProducerStage]:
    """A producer whose call waits at a model that somebody left early; /api/ps is shown by the test."""
    async with produced(*attempts, cures=cures, wedge_floor_s=EVERY_WAIT_IS_TOO_LONG_S) as stage:
        left = Spoke()
        stage.wedges.began(MODEL, left)  # type: ignore[arg-type] # as much of a call as is looked at
        stage.wedges.ended(left)  # type: ignore[arg-type] # likewise
        await stage.begin()
        await soon(lambda: stage.transport.opened, "it is asked")
        await turns()
        yield stage


async def test_who_waits_at_a_wedged_model_has_its_call_repeated_after_the_unload() -> None:
    """Its connection is closed first, for a model in use is not unloaded, and the next is opened last."""
    with capture_logs() as lines:
        async with waiting_in_vain(SILENT, WHOLE) as stage:
            stage.wedges.looked(LOADED)
            await stage.over()

    assert (stage.text, stage.end, stage.stream.attempts) == ("Hello", "stop", 2)
    assert stage.transport.unloaded == [(MODEL, 0)]
    assert stage.noted.repeats == ["wedged"]
    assert stage.wedged == [[LISTED_AS], []]
    assert [entry["event"] for entry in lines] == ["model.wedged", "model.unloaded"]
    stage.assert_everything_is_given_back()


async def test_without_the_cure_it_is_only_said() -> None:
    with capture_logs() as lines:
        async with waiting_in_vain(SILENT, cures=False) as stage:
            stage.wedges.looked(LOADED)
            stage.wedges.looked(LOADED)
            await turns(20)
            named = stage.wedges.names

    assert (stage.transport.unloaded, named, stage.wedged) == ([], [LISTED_AS], [[LISTED_AS]])
    assert [(entry["event"], entry["model"]) for entry in lines] == [("model.wedged", LISTED_AS)]


async def test_a_look_that_was_not_answered_says_nothing() -> None:
    async with waiting_in_vain(SILENT) as stage:
        stage.wedges.looked(None)

        assert stage.wedges.names == []


@pytest.mark.parametrize("last_words", [line("late"), line("late") + line(done=True), line(done=True)])
async def test_what_a_call_brings_once_it_is_given_up_is_too_late(last_words: bytes) -> None:
    """Between the look and the unload is a turn of the loop: what the look decided stands, and fails nothing."""
    with capture_logs() as lines:
        async with waiting_in_vain(SILENT, WHOLE) as stage:
            [connection] = stage.transport.opened
            stage.wedges.looked(LOADED)
            connection.call.reader.on_bytes(last_words)
            await stage.over()

    assert (stage.text, stage.end, stage.stream.attempts) == ("Hello", "stop", 2)
    assert stage.transport.unloaded == [(MODEL, 0)]
    assert [entry["event"] for entry in lines] == ["model.wedged", "model.unloaded"]
    stage.assert_everything_is_given_back()


async def test_a_model_whose_last_waiting_call_has_just_failed_is_not_unloaded() -> None:
    """It would help nobody."""
    with capture_logs() as lines:
        async with waiting_in_vain(SILENT) as stage:
            [connection] = stage.transport.opened
            connection.call.reader.on_bytes(b'{"error":"it broke"}\n')
            stage.wedges.looked(LOADED)
            await stage.over()

    assert (stage.end, stage.transport.unloaded) == ("upstream_error", [])
    assert [entry["event"] for entry in lines] == ["model.wedged"]


async def test_an_unload_that_fails_is_said_and_who_waits_is_asked_for_again_all_the_same() -> None:
    with capture_logs() as lines:
        async with waiting_in_vain(SILENT, WHOLE) as stage:
            stage.transport.unload_fails = True
            stage.wedges.looked(LOADED)
            await stage.over()

    assert (stage.text, stage.end) == ("Hello", "stop")
    assert [entry["event"] for entry in lines] == ["model.wedged", "model.not_unloaded"]
    stage.assert_everything_is_given_back()


@pytest.mark.parametrize("turns_later", [0, 1, 2, 3, 4])
async def test_who_leaves_during_the_unload_gives_everything_back(turns_later: int) -> None:
    async with waiting_in_vain(SILENT, WHOLE) as stage:
        stage.wedges.looked(LOADED)
        await turns(turns_later)
        stage.stream.stop(FinishReason.CANCELLED)
        await stage.over()

        assert stage.end == "cancelled"
        assert len(stage.transport.opened) == 1
        stage.assert_everything_is_given_back()


# --- a loaded model that gives somebody no first token in all its time


def loaded(stage: ProducerStage) -> None:
    assert stage.servers[0].models is not None
    stage.servers[0].models.saw(LOADED, time.monotonic())


@pytest.mark.parametrize("cures", [True, False])
async def test_a_loaded_model_that_answers_nobody_in_time_is_said_and_unloaded_where_that_is_allowed(
    *, cures: bool
) -> None:
    """Nobody left it early: no permit was lost, and yet it hangs."""
    with capture_logs() as lines:
        async with produced(SILENT, then=[[WHOLE]], cures=cures, deadlines=SHORT) as stage:
            loaded(stage)
            await stage.begin()
            await stage.over()
            await turns(20)
            named = stage.wedges.names

    events = [entry["event"] for entry in lines if entry["event"].startswith("model.")]
    assert (stage.text, stage.noted.steps) == ("Hello", ["server-1 -> server-2: first_token"])
    if cures:
        assert (stage.transport.unloaded, named) == ([(MODEL, 0)], [])
        assert (events, stage.wedged) == (["model.wedged", "model.unloaded"], [[LISTED_AS], []])
    else:
        assert (stage.transport.unloaded, named) == ([], [LISTED_AS])
        assert (events, stage.wedged) == (["model.wedged"], [[LISTED_AS]])


@pytest.mark.parametrize("is_loaded_meanwhile", [False, True])
async def test_one_that_is_being_loaded_or_just_was_does_not_hang(*, is_loaded_meanwhile: bool) -> None:
    async with produced(SILENT, then=[[WHOLE]], cures=True, deadlines=SHORT) as stage:
        await stage.begin()
        await soon(lambda: stage.transport.opened, "it is asked")
        if is_loaded_meanwhile:
            await turns()
            stage.wedges.looked(frozenset())
            loaded(stage)
        await stage.over()
        await turns(20)

        assert (stage.text, stage.wedges.names, stage.transport.unloaded) == ("Hello", [], [])


async def test_one_that_hangs_is_healed_by_an_answer_that_goes_on_or_an_unload() -> None:
    healed = []
    for how in ("goes on", "unloaded", "silent"):
        async with produced(SILENT, then=[[SILENT]], deadlines=SHORT) as stage:
            loaded(stage)
            streams = Spoke()
            stage.wedges.began(MODEL, streams)  # type: ignore[arg-type] # as much of a call as is looked at
            await stage.begin()
            await stage.over()
            assert stage.wedges.names == [LISTED_AS]
            if how == "goes on":
                streams.content_at = time.monotonic()
            stage.wedges.looked(frozenset() if how == "unloaded" else LOADED)
            healed.append(not stage.wedges.names)

    assert healed == [True, True, False]


async def test_one_that_streams_to_somebody_else_does_not_hang() -> None:
    async with produced(SILENT, then=[[WHOLE]], cures=True, deadlines=SHORT) as stage:
        loaded(stage)
        streams = Spoke()
        stage.wedges.began(MODEL, streams)  # type: ignore[arg-type] # as much of a call as is looked at
        streams.content_at = time.monotonic() + 60.0  # as if its last content came while the other waits
        await stage.begin()
        await stage.over()
        await turns(20)

        assert (stage.text, stage.wedges.names, stage.transport.unloaded) == ("Hello", [], [])
