import pytest

from proxy.upstream.breaker import FAILURES_IN_A_ROW, OPEN_S, State
from proxy.upstream.condition import DAY_S, LONGEST_SPARED_S, QUOTA_S, REMEMBERED_MODELS, Condition, Try
from services.wire.events import Code, Failed, Stage
from services.wire.model_names import canonical

IDLE = Failed(Code.UPSTREAM_TIMEOUT, "words", stage=Stage.IDLE)
CUT = Failed(Code.UPSTREAM_TRUNCATED, "words")
BROKEN = Failed(Code.UPSTREAM_ERROR, "words")


def fail(condition: Condition, why: str, *, model: str = "m", now: float = 1.0, times: int = 1) -> None:
    for number in range(times):
        call = condition.began(model, now)
        condition.came_to_nothing(call, why, now, chance=0.5, request=f"request {number}")
        condition.let_go(call, 1.0)


@pytest.mark.parametrize("why", ["refused", "connect_timeout", "dns", "untrusted"])
def test_a_server_that_cannot_be_reached_is_spared_with_all_its_models(why: str) -> None:
    """U14."""
    condition = Condition()
    fail(condition, why, times=FAILURES_IN_A_ROW)

    assert (condition.passed_by("m", 1.0), condition.passed_by("other", 1.0)) == ("open", "open")


@pytest.mark.parametrize("why", ["first_token", "502", "503", "5xx", "eof", "reset"])
def test_a_model_that_fails_is_spared_alone(why: str) -> None:
    condition = Condition()
    fail(condition, why, times=FAILURES_IN_A_ROW)

    assert (condition.passed_by("m", 1.0), condition.passed_by("other", 1.0)) == ("open", "")
    assert (condition.state("m", 1.0), condition.state("other", 1.0)) == (State.OPEN, State.CLOSED)
    assert condition.models == (canonical("m"),)


@pytest.mark.parametrize("why", ["400", "404", "429", "401 of nobody", ""])
def test_who_leaves_and_what_is_refused_by_rule_never_count(why: str) -> None:
    condition = Condition()
    fail(condition, why, times=50)

    assert condition.passed_by("m", 1.0) == ""


def test_a_500_counts_only_where_another_request_got_one_before() -> None:
    """A request that no server survives is no server's fault."""
    same, different = Condition(), Condition()
    for number in range(FAILURES_IN_A_ROW + 1):
        for condition, request in ((same, "one"), (different, f"{number}")):
            call = condition.began("m", 1.0)
            condition.came_to_nothing(call, "500", 1.0, chance=0.5, request=request)

    assert (same.passed_by("m", 1.0), different.passed_by("m", 1.0)) == ("", "open")


@pytest.mark.parametrize(("failed", "counts"), [(IDLE, True), (CUT, True), (BROKEN, False)])
def test_silence_and_truncation_behind_content_count(failed: Failed, *, counts: bool) -> None:
    condition = Condition()
    for _ in range(30):
        call = condition.began("m", 1.0)
        condition.has_content(call, 1.0)
        condition.broke_off(call, failed, 1.0, chance=0.5)
        condition.let_go(call, 1.0)

    assert (condition.passed_by("m", 1.0) == "open") is counts


def opened() -> tuple[Condition, Try]:
    condition = Condition()
    fail(condition, "503", times=FAILURES_IN_A_ROW)
    return condition, condition.began("m", 2 * OPEN_S)


def test_half_open_one_call_tries_and_the_others_go_on() -> None:
    """U15."""
    condition, probe = opened()
    second = condition.passed_by("m", 2 * OPEN_S)
    condition.has_content(probe, 2 * OPEN_S)

    assert (second, condition.passed_by("m", 2 * OPEN_S)) == ("open", "")


def test_a_try_whose_caller_leaves_is_given_back() -> None:
    condition, probe = opened()
    condition.let_go(probe, 61.0)
    condition.let_go(probe, 61.0)

    assert condition.passed_by("m", 2 * OPEN_S) == ""


def test_a_server_that_answers_something_else_is_tried_at_once() -> None:
    condition = Condition()
    fail(condition, "refused", times=FAILURES_IN_A_ROW)
    condition.answers(2.0)

    assert condition.passed_by("m", 2.0) == ""


def test_a_refused_key_marks_the_server_until_there_is_another() -> None:
    condition = Condition()
    fail(condition, "401")
    marked = condition.passed_by("any", 1.0)
    condition.key_changed()

    assert (marked, condition.passed_by("any", 1.0)) == ("marked", "")


def test_a_key_without_rights_to_a_model_marks_that_model() -> None:
    condition = Condition()
    for number in range(REMEMBERED_MODELS + 5):
        fail(condition, "403", model=f"m{number}")

    assert (condition.passed_by("m0", 1.0), condition.passed_by("other", 1.0)) == ("marked", "")
    assert len(condition.forbidden) == REMEMBERED_MODELS


@pytest.mark.parametrize(("wait_s", "spared_s"), [(20.0, 20.0), (None, QUOTA_S), (86_400.0, LONGEST_SPARED_S)])
def test_a_server_that_asks_for_time_is_spared_as_long(wait_s: float | None, spared_s: float) -> None:
    condition = Condition()
    condition.spare("quota", wait_s, 100.0)

    assert condition.passed_by("m", 100.0 + spared_s - 0.1) == "quota"
    assert condition.passed_by("m", 100.0 + spared_s) == ""


def test_who_is_told_to_wait_less_does_not_shorten_another_s_wait() -> None:
    condition = Condition()
    condition.spare("quota", None, 100.0)
    condition.spare("429", 15.0, 100.0)

    assert (condition.passed_by("m", 120.0), condition.wait_s("m", 100.0)) == ("quota", QUOTA_S)


def test_beyond_its_requests_a_minute_a_server_is_not_asked() -> None:
    """An open cheque is bounded."""
    condition = Condition(requests_per_minute=2)
    for now in (0.0, 10.0):
        condition.began("m", now)

    assert (condition.passed_by("m", 59.0), condition.passed_by("m", 60.0)) == ("quota", "")


def test_beyond_its_tokens_a_day_a_server_is_not_asked_until_the_next() -> None:
    condition = Condition(tokens_per_day=100)
    condition.used(99, 1)
    before = condition.passed_by("m", 1.0)
    condition.used(1, 1)
    spent = condition.passed_by("m", 1.0)
    condition.new_day(int(2 * DAY_S // DAY_S))

    assert (before, spent, condition.passed_by("m", 1.0)) == ("", "quota", "")


def test_a_model_that_hangs_does_so_until_somebody_has_content() -> None:
    condition = Condition()
    condition.hangs(canonical("m"), 1.0)
    hung = set(condition.hung)
    condition.has_content(condition.began("m", 2.0), 3.0)

    assert (hung, condition.hung) == ({canonical("m")}, {})


def test_of_models_that_clients_make_up_only_so_many_are_remembered() -> None:
    condition = Condition()
    for number in range(REMEMBERED_MODELS + 10):
        fail(condition, "503", model=f"m{number}")
        condition.hangs(f"m{number}", 1.0)

    assert len(condition.models) == REMEMBERED_MODELS
    assert len(condition.hung) == REMEMBERED_MODELS


def test_how_long_it_is_spared_is_known_but_for_a_key() -> None:
    condition = Condition()
    before = condition.wait_s("m", 1.0)
    fail(condition, "502", times=FAILURES_IN_A_ROW)
    model, other = condition.wait_s("m", 11.0), condition.wait_s("other", 11.0)
    condition.spare("429", 50.0, 1.0)
    spared = condition.wait_s("m", 11.0)
    condition.key_refused = True

    assert (before, other, spared) == (None, None, 40.0)
    assert model == pytest.approx(OPEN_S - 10)
    assert condition.wait_s("m", 11.0) is None


def test_a_full_minute_is_waited_for_until_its_first_request_is_old() -> None:
    condition = Condition(requests_per_minute=2)
    for at in (10.0, 30.0):
        condition.let_go(condition.began("m", at), at)

    assert condition.wait_s("m", 40.0) == 30.0
    assert (condition.passed_by("m", 70.0), condition.wait_s("m", 70.0)) == ("", None)


def test_the_spellings_of_a_model_share_what_is_known_of_it() -> None:
    condition = Condition()
    for spelled in ("m", "M", "m:latest", "library/m", "M:latest"):
        fail(condition, "503", model=spelled)

    assert (condition.passed_by("m", 1.0), condition.state("M", 1.0)) == ("open", State.OPEN)
