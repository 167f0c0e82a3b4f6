import time
from typing import Any

import pytest

from services.simulator import witness as limits
from services.simulator.simulator import Simulator
from services.simulator.witness import CallEnd, State, Witness
from tests.eventually import soon
from tests.simulator.reader import Reader, ask, chat, generate, get


async def witnessed(simulator: Simulator, query: str) -> dict[str, Any]:
    report: dict[str, Any] = (await ask(simulator, get(f"/simulator/witness{query}"))).lines[0]
    return report


async def test_calls_are_told_in_order_with_what_was_asked_and_made(simulator: Simulator) -> None:
    await ask(simulator, get("/api/tags"))
    await ask(simulator, generate("sim:tokens=7", options={"num_predict": 5}))

    tags, generated = (await witnessed(simulator, ""))["calls"]

    assert tags["headers"] == {"host": "127.0.0.1"}
    assert (tags["method"], tags["path"], tags["model"], tags["end"]) == ("GET", "/api/tags", None, "answered")
    assert generated["body"] == {"model": "sim:tokens=7", "prompt": "hi", "options": {"num_predict": 5}}
    assert (generated["lines"], generated["tokens"], generated["state"]) == (6, 5, "ended")
    assert (generated["id"], generated["status"], generated["left_at"]) == (2, 200, None)


async def test_times_are_of_the_machines_monotonic_clock_and_in_order(simulator: Simulator) -> None:
    before = time.monotonic()
    await ask(simulator, chat("sim:tokens=3,prefill=0.01"))
    after = time.monotonic()
    report = await witnessed(simulator, "")

    call = report["calls"][0]
    stations = [call[name] for name in ("opened_at", "permitted_at", "first_line_at", "closed_at")]
    assert [before, *stations, after] == sorted([before, *stations, after])
    assert report["now"] >= after


async def test_the_bytes_counted_are_those_received(simulator: Simulator) -> None:
    seen = await ask(simulator, chat("sim:tokens=20"))

    assert simulator.witness.calls[0].bytes_sent == len(seen.raw)


@pytest.mark.parametrize("way", ["leave", "leave_by_half", "reset"])
@pytest.mark.parametrize("model", ["sim:tokens=5000,rate=200", "sim:fault=mute", "sim:fault=stall,at=1", "sim:load=60"])
async def test_a_reader_that_leaves_ends_generation_before_the_next_token(
    way: str, model: str, simulator: Simulator
) -> None:
    """While tokens come, before the first one, in a silence, and while the model loads."""
    reader = await Reader.connect(simulator.address.port)
    reader.send(chat(model))
    quiet = {"sim:fault=mute": State.PREFILL, "sim:load=60": State.LOADING}
    await soon(lambda: any(call.state is quiet.get(model, State.STREAMING) for call in simulator.witness.calls))
    getattr(reader, way)()
    await soon(lambda: simulator.witness.connections_open == 0)

    call = simulator.witness.calls[0]
    assert (call.end, call.state, call.lines_after_left) == (CallEnd.LEFT, State.ENDED, 0)
    assert call.left_at is not None
    assert simulator.witness.by_model[model].running == 0
    reader.leave()


async def test_a_reader_that_leaves_with_its_request_leaves_nothing_behind(simulator: Simulator) -> None:
    for _ in range(20):
        reader = await Reader.connect(simulator.address.port)
        reader.send(chat("sim:tokens=100000,rate=100"))
        reader.leave()
    await soon(lambda: simulator.witness.calls_total == 20)
    await soon(lambda: simulator.witness.connections_open == 0)

    assert {call.end for call in simulator.witness.calls} == {CallEnd.LEFT}
    assert simulator.witness.calls_now == 0
    assert (await ask(simulator, chat("sim:tokens=2"))).end == "whole"


async def test_the_totals_say_what_is_open_and_how_many_calls_a_model_had_at_once(simulator: Simulator) -> None:
    readers = [await Reader.connect(simulator.address.port) for _ in range(3)]
    for reader in readers:
        reader.send(chat("sim:fault=mute"))
    await soon(lambda: simulator.witness.calls_now == 3)
    report = await witnessed(simulator, "")
    for reader in readers:
        reader.leave()

    assert (report["totals"]["connections_open"], report["totals"]["calls_now"]) == (4, 3)
    assert report["models"]["sim:fault=mute"] == {"calls": 3, "most_calls": 3, "running": 1, "most_running": 1}


async def test_clearing_forgets_what_has_ended_and_keeps_what_runs(simulator: Simulator) -> None:
    reader = await Reader.connect(simulator.address.port)
    reader.send(chat("sim:fault=mute"))
    await soon(lambda: simulator.witness.calls_now == 1)
    await ask(simulator, chat("story"))
    cleared = await ask(simulator, get("/simulator/witness", method="DELETE"))
    report = await witnessed(simulator, "")
    reader.leave()

    assert cleared.status == 200
    assert [call["model"] for call in report["calls"]] == ["sim:fault=mute"]
    assert set(report["models"]) == {"sim:fault=mute"}
    assert report["totals"]["calls_total"] == 1


async def test_after_leaves_out_the_calls_that_were_told(simulator: Simulator) -> None:
    for _ in range(3):
        await ask(simulator, get("/api/version"))

    assert [call["id"] for call in (await witnessed(simulator, "?after=2"))["calls"]] == [3]


def test_calls_beyond_the_bound_make_room_and_still_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MAX_CALLS", 10)
    witness = Witness(lambda: 1.0)

    for _ in range(25):
        witness.ended(witness.opened("GET", "/", {}, 0), CallEnd.ANSWERED)

    assert [call.id for call in witness.calls] == list(range(16, 26))
    assert (witness.calls_total, witness.calls_now) == (25, 0)


def test_bodies_are_bounded_each_and_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MAX_BODY_BYTES", 100)
    monkeypatch.setattr(limits, "MAX_BODIES_BYTES", 250)
    witness = Witness(lambda: 1.0)

    for size in (101, 100, 100, 100):
        witness.asks(witness.opened("POST", "/api/chat", {}, size), "m", {"size": size})

    assert [(call.id, call.body) for call in witness.calls] == [(3, {"size": 100}), (4, {"size": 100})]


def test_names_that_nobody_asks_any_more_make_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MAX_NAMES", 5)
    witness = Witness(lambda: 1.0)

    for index in range(50):
        call = witness.opened("POST", "/api/chat", {}, 1)
        witness.asks(call, f"m{index}", {})
        witness.times_asked(f"m{index}")
        witness.ended(call, CallEnd.ANSWERED)

    assert len(witness.by_model) <= 6
    assert witness.times_asked("m49") == 2
