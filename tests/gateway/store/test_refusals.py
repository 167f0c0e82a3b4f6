from gateway.store.refusals import RETRY_AFTER_S, Conflict, NotFound, StoreUnavailable
from services.wire.events import Code


def test_what_waiting_may_mend_says_when_to_ask_again_and_its_reason_to_nobody() -> None:
    refused = StoreUnavailable("OperationalError")

    assert (refused.failed.code, refused.retry_after_s) == (Code.STORE_UNAVAILABLE, RETRY_AFTER_S)
    assert refused.failed.may_retry
    assert refused.why == "OperationalError"
    assert "OperationalError" not in refused.failed.message


def test_what_is_not_there_and_what_stands_against_it_are_not_asked_again() -> None:
    assert (NotFound().failed.code, NotFound("words").failed.message) == (Code.NOT_FOUND, "words")
    assert (Conflict("words").failed.code, Conflict("words").failed.may_retry) == (Code.CONFLICT, False)
