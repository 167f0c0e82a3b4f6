import json
from typing import Any

import pytest

from gateway.relay.standing import Standing, State

READY: dict[str, Any] = {"status": "ok", "instance": "a", "upstream": {"reachable": True}}


def told(name: str = "a", **page: Any) -> Standing:
    return Standing().told(json.dumps({**READY, **page}).encode(), name)


@pytest.mark.parametrize(
    ("page", "state"),
    [
        ({}, State.READY),
        ({"status": "degraded"}, State.READY),
        ({"status": "draining"}, State.DRAINING),
        ({"status": "degraded", "upstream": {"reachable": False}}, State.AWAY),
        ({"upstream": None}, State.AWAY),
        ({"upstream": {"reachable": "yes"}}, State.AWAY),
        ({"instance": "b"}, State.MISNAMED),
        ({"instance": "b", "status": "draining"}, State.MISNAMED),
        ({"instance": None}, State.MISNAMED),
    ],
)
def test_what_a_proxy_says_of_itself_is_how_it_stands(page: dict[str, Any], state: State) -> None:
    """A wedged model is degraded: the others are served."""
    assert told(**page).state is state


@pytest.mark.parametrize("body", [b"", b"no json", b"[]", b"null"])
def test_what_is_no_health_page_is_not_the_proxy_s(body: bytes) -> None:
    assert Standing().told(body, "a").state is State.MISNAMED
    assert Standing().told(body, "").state is State.AWAY


def test_the_only_one_may_call_itself_as_it_likes() -> None:
    assert told("", instance="k3fa").state is State.READY


def test_who_was_not_looked_at_or_is_another_is_not_asked() -> None:
    asked = {state: Standing(state).may_be_asked for state in State}

    assert {state for state in State if not asked[state]} == {State.UNKNOWN, State.MISNAMED}


@pytest.mark.parametrize("streams", [None, [], "x", {"tiny:latest": "2"}, {"tiny:latest": -1}, {"tiny:latest": None}])
def test_a_load_that_cannot_be_read_is_none(streams: object) -> None:
    assert told(streams=streams).load("tiny:latest") == (0, 0)


def test_a_load_is_of_the_model_and_of_all_and_grows_with_what_is_asked_until_it_is_told_again() -> None:
    standing = told(streams={"tiny:latest": 2, "big:latest": 3}).listing(["tiny", "other"])
    grown = standing.asked_for("tiny:latest").asked_for("other:latest")

    assert (standing.load("tiny:latest"), standing.load("other:latest")) == ((2, 5), (0, 5))
    assert (grown.load("tiny:latest"), grown.load("other:latest")) == ((3, 7), (1, 7))
    assert grown.told(json.dumps(READY).encode(), "a").load("tiny:latest") == (0, 0)


def test_a_name_that_nobody_lists_is_not_kept() -> None:
    """Whoever asks for a thousand models that there are not must not fill a gateway."""
    assert told().asked_for("new:latest").streams == {}
    assert told().listing(["tiny"]).asked_for("new:latest").streams == {}


def test_streams_of_models_that_it_does_not_list_count_together_until_it_is_told_again() -> None:
    """Or those who ask for one at the same time would go by chance alone."""
    asked = told(streams={"big:latest": 3}).listing(["big"]).asked_for("new:latest").asked_for("newer:latest")

    assert (asked.load("new:latest"), asked.load("big:latest")) == ((0, 5), (3, 5))
    assert asked.told(json.dumps(READY).encode(), "a").load("new:latest") == (0, 0)


def test_a_proxy_that_never_listed_may_have_any_model_and_a_list_outlives_a_look() -> None:
    before = Standing()
    after = before.listing(["TINY", "library/big"]).told(json.dumps(READY).encode(), "a")

    assert before.lists("tiny:latest")
    assert [after.lists(f"{name}:latest") for name in ("tiny", "big", "other")] == [True, True, False]


def test_one_look_may_be_lost_and_a_refusal_is_none() -> None:
    ready = told()
    once, twice = ready.silent(is_refused=False), ready.silent(is_refused=False).silent(is_refused=False)

    assert [one.state for one in (once, twice)] == [State.READY, State.AWAY]
    assert ready.silent(is_refused=True).state is State.AWAY
    assert once.told(json.dumps(READY).encode(), "a").silent(is_refused=False).state is State.READY


@pytest.mark.parametrize(("page", "asks"), [({}, False), ({"cloud": True}, True), ({"cloud": "yes"}, False)])
def test_whether_asking_it_costs_is_its_own_word(page: dict[str, Any], *, asks: bool) -> None:
    assert told(**page).asks_cloud is asks
    assert told(cloud=True).told(json.dumps({**READY, **page}).encode(), "a").asks_cloud is asks
