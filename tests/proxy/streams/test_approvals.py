"""The calls that wait for a person's word."""

import asyncio

import pytest

from proxy.streams.approvals import Approvals, Heard
from services.runtime.tasks import Tasks
from services.wire.events import Approval
from tests.proxy.stage import turns


@pytest.mark.parametrize(("approve", "approval"), [(True, Approval.GIVEN), (False, Approval.REFUSED)])
@pytest.mark.parametrize("early", [True, False])
async def test_a_person_s_word_is_taken_whenever_it_comes(approve: bool, approval: Approval, early: bool) -> None:
    approvals = Approvals()
    approvals.expect("call_1")
    if early:
        assert approvals.say("call_1", approve=approve) is Heard.TAKEN
    waiting = Tasks().spawn(approvals.said("call_1", 30), "waits")
    await turns()
    if not early:
        assert approvals.say("call_1", approve=approve) is Heard.TAKEN

    assert await waiting is approval


async def test_the_first_word_stands_and_can_be_said_again() -> None:
    approvals = Approvals()
    approvals.expect("call_1")
    approvals.say("call_1", approve=False)
    await approvals.said("call_1", 30)

    assert approvals.say("call_1", approve=False) is Heard.SAID_BEFORE
    assert approvals.say("call_1", approve=True) is Heard.CONTRADICTS


async def test_who_says_nothing_in_time_is_not_waited_for_any_more() -> None:
    approvals = Approvals()
    approvals.expect("call_1")

    assert await approvals.said("call_1", 0.01) is Approval.EXPIRED
    assert approvals.say("call_1", approve=True) is Heard.NOT_AWAITED


async def test_what_nobody_asked_is_not_awaited() -> None:
    approvals = Approvals()
    approvals.expect("call_1")
    approvals.expect("call_2")
    approvals.forget("call_1")
    approvals.end()

    assert [approvals.say(name, approve=True) for name in ("call_1", "call_2", "call_3")] == [Heard.NOT_AWAITED] * 3


async def test_who_stops_waiting_leaves_the_question_open() -> None:
    approvals = Approvals()
    approvals.expect("call_1")
    waiting = Tasks().spawn(approvals.said("call_1", 30), "waits")
    await turns()

    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)

    assert approvals.say("call_1", approve=True) is Heard.TAKEN
