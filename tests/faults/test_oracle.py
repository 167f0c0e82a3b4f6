"""The oracle sees each breach that is planted in a sound history, and none in a sound one."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final

import pytest

from tests.faults.composition import Composition, Disaster, Door, Plan, Way
from tests.faults.history import History, Part, Reader
from tests.faults.hop_fault import Bend, HopFault
from tests.faults.model_faults import BROKEN, SOUND, ModelFault, Shown
from tests.faults.oracle import complaints

TOKENS: Final = ("one", " two", " three", " four")
SOUND_RUN: Final = Composition(
    seed=7,
    fault=SOUND[0],
    model="sim:tokens=4",
    tokens=TOKENS,
    thoughts=(),
    at=2,
    plan=Plan(),
    door=Door.SAFE,
    hop=None,
    disaster=Disaster.NONE,
    delay_s=0.0,
)
TRUNCATED: Final = ModelFault("fault=truncate,at={at}", frozenset({"upstream_truncated"}), Shown.FIRST)
WHOLE: Final = Part(200, "", "".join(TOKENS), "", (1, 2, 3, 4, 5, 6), "stop", clean=True)
HALF: Final = Part(200, "", "one two", "", (1, 2, 3))
REST: Final = Part(200, "", " three four", "", (5, 6), "stop", clean=True)
CALL: Final[dict[str, Any]] = {"tokens": 4, "end": "answered", "closed_at": 10.0, "left_at": None}


def seen(*parts: Part, streams: tuple[str, ...] = ("stop",), **more: Any) -> History:
    given: dict[str, Any] = {"connections": list(streams), "calls": [CALL], **more}
    return History(readers=[Reader(list(parts))], streams=list(streams), **given)


def test_a_sound_history_is_no_complaint() -> None:
    assert complaints(SOUND_RUN, seen(WHOLE)) == []
    assert complaints(replace(SOUND_RUN, plan=Plan(Way.RETURN, on_disconnect="continue")), seen(HALF, REST)) == []


BREACHES: Final[dict[str, tuple[Composition, History, str]]] = {
    "an event came twice": (
        SOUND_RUN,
        seen(replace(WHOLE, numbers=(1, 2, 3, 3, 5, 6))),
        "numbers came twice",
    ),
    "a piece was left out": (SOUND_RUN, seen(replace(WHOLE, text="one three four")), "no beginning"),
    "an answer is shorter than its end says": (SOUND_RUN, seen(replace(WHOLE, text="one two")), "stop with"),
    "a number is missing at the end": (SOUND_RUN, seen(replace(WHOLE, numbers=(1, 2, 3, 4, 5))), "the last number"),
    "no end came": (SOUND_RUN, seen(HALF), "no end"),
    "an end that cannot be": (SOUND_RUN, seen(replace(WHOLE, end="cancelled")), "cancelled is no end"),
    "the log ended otherwise": (SOUND_RUN, seen(WHOLE, streams=("cancelled",)), "the log ended cancelled"),
    "no stream has a line": (SOUND_RUN, seen(WHOLE, streams=()), "0 streams"),
    "a second generation": (SOUND_RUN, seen(WHOLE, streams=("stop", "stop")), "2 streams"),
    "done after a truncation": (
        replace(SOUND_RUN, fault=TRUNCATED),
        seen(replace(HALF, numbers=(1, 2, 3, 4), end="stop"), streams=("stop",)),
        "stop is no end of this run",
    ),
    "less than was said before a failure": (
        replace(SOUND_RUN, fault=TRUNCATED),
        seen(replace(HALF, text="one", numbers=(1, 2, 3), end="upstream_truncated"), streams=("upstream_truncated",)),
        "upstream_truncated with",
    ),
    "the model was asked again": (SOUND_RUN, seen(WHOLE, calls=[CALL, CALL]), "asked 2 times"),
    "more was shown than produced": (SOUND_RUN, seen(WHOLE, calls=[CALL | {"tokens": 3}]), "4 parts were shown"),
    "the model went on for a reader that had left": (
        replace(SOUND_RUN, plan=Plan(Way.CANCEL, after=2)),
        seen(replace(HALF, end="cancelled", numbers=(1, 2, 3, 4)), streams=("cancelled",), left_at=2.0, cancelled=202),
        "the model went on",
    ),
    "a cancel that was not taken": (
        replace(SOUND_RUN, plan=Plan(Way.CANCEL, after=2)),
        seen(WHOLE, cancelled=500),
        "the cancel was answered 500",
    ),
    "a refusal under another status": (
        replace(SOUND_RUN, fault=next(row for row in BROKEN if row.script == "status=503")),
        seen(Part(500, "upstream_unavailable", clean=True), streams=("upstream_unavailable",)),
        "upstream_unavailable came as status 500",
    ),
    "a connection that was cut for nothing": (SOUND_RUN, seen(WHOLE, connections=["slow_client"]), "slow_client"),
    "thinking behind text": (
        replace(SOUND_RUN, thoughts=("hm", " so")),
        seen(replace(HALF, thinking="hm")),
        "no beginning",
    ),
    "the driver failed": (SOUND_RUN, History(failure="OSError()"), "the driver failed"),
    "two readers, two ends": (
        replace(SOUND_RUN, plan=Plan(Way.TWO), fault=replace(SOUND[0], ends=frozenset({"stop", "length"}))),
        History([Reader([WHOLE]), Reader([replace(WHOLE, end="length")])], ["stop"], ["stop"], [CALL]),
        "different ends",
    ),
}


@pytest.mark.parametrize("what", BREACHES)
def test_a_breach_is_seen(what: str) -> None:
    run, history, said = BREACHES[what]

    assert [complaint for complaint in complaints(run, history) if said in complaint] != []


def lost(run: Composition) -> Composition:
    return replace(run, door=Door.WIRED, hop=HopFault(Bend.CUT, 100, 2))


ALLOWED: Final[dict[str, tuple[Callable[[Composition], Composition], History]]] = {
    "a hop that broke twice is lost, and taken up again": (
        lambda run: lost(replace(run, plan=Plan(on_disconnect="continue"))),
        seen(
            replace(HALF, end="upstream_disconnected", logged=False),
            REST,
            connections=["upstream_disconnected", "stop"],
        ),
    ),
    "what a lost `cancel` stream comes to": (
        lost,
        seen(
            replace(HALF, end="upstream_disconnected", logged=False),
            Part(200, "", "", "", (4,), "cancelled"),
            streams=("cancelled",),
            connections=["upstream_disconnected", "cancelled"],
        ),
    ),
    "a hop without a head": (
        lambda run: replace(run, door=Door.WIRED, hop=HopFault(Bend.HEADLESS, 0, 1)),
        seen(Part(502, "upstream_disconnected", clean=True), streams=("cancelled",), connections=[]),
    ),
    "a gateway that was killed before it answered": (
        lambda run: replace(run, door=Door.MORTAL, disaster=Disaster.GATEWAY_KILLED),
        seen(Part(), streams=(), calls=[]),
    ),
    "a proxy that shut down": (
        lambda run: replace(run, door=Door.MORTAL, disaster=Disaster.PROXY_TERMINATED),
        seen(replace(HALF, end="shutting_down", numbers=(1, 2, 3, 4)), streams=("shutting_down",)),
    ),
    "a proxy that was killed": (
        lambda run: replace(run, door=Door.MORTAL, disaster=Disaster.PROXY_KILLED),
        seen(
            replace(HALF, end="upstream_disconnected", logged=False), streams=(), streams_are_known=False, calls=[CALL]
        ),
    ),
    "a reader that left before it knew the stream": (
        lambda run: replace(run, plan=Plan(Way.LEAVE, after=0, on_disconnect="continue")),
        History([Reader([Part()], left=True)], ["cancelled"], ["client_gone"], [CALL]),
    ),
    "a reader that left for good": (
        lambda run: replace(run, plan=Plan(Way.LEAVE, after=2, on_disconnect="continue")),
        History([Reader([HALF], left=True)], ["abandoned"], ["client_gone"], [CALL]),
    ),
    "a direct reader that left": (
        lambda run: replace(run, plan=Plan(Way.DIRECT, after=2, reset=True)),
        History([Reader([HALF], left=True)], ["cancelled"], [], [CALL]),
    ),
    "a reader that was stuck": (
        lambda run: replace(run, plan=Plan(Way.STUCK, on_disconnect="continue")),
        seen(HALF, REST, connections=["slow_client", "stop"]),
    ),
    "others wait for the same model": (
        lambda run: replace(run, in_line=True),
        seen(WHOLE, calls=[CALL, CALL, CALL]),
    ),
    "Ollama's last line has no word for it": (
        lambda run: replace(run, fault=TRUNCATED, plan=Plan(Way.OLLAMA)),
        seen(Part(200, "", "one two", "", (), "error", clean=True), streams=("upstream_truncated",)),
    ),
    "a whole answer that failed": (
        lambda run: replace(run, fault=TRUNCATED, plan=Plan(Way.WHOLE)),
        seen(Part(502, "upstream_truncated", clean=True), streams=("upstream_truncated",)),
    ),
}


@pytest.mark.parametrize("what", ALLOWED)
def test_what_may_be_is_no_complaint(what: str) -> None:
    change, history = ALLOWED[what]

    assert complaints(change(SOUND_RUN), history) == []
