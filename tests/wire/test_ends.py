import pytest

from services.wire.ends import RULES, Code, ConnectionEnd, FinishReason, Outcome, outcome_of

# PROTOCOL.md, "Errors": code, HTTP status before the stream, retryable.
TABLE = {
    "invalid_request": (400, False),
    "payload_too_large": (413, False),
    "unsupported_media_type": (415, False),
    "request_timeout": (408, True),
    "unauthorized": (401, False),
    "forbidden": (403, False),
    "not_found": (404, False),
    "method_not_allowed": (405, False),
    "misdirected": (421, False),
    "stream_gone": (410, False),
    "model_not_found": (404, False),
    "model_not_allowed": (403, False),
    "idempotency_conflict": (409, False),
    "conflict": (409, False),
    "rate_limited": (429, True),
    "concurrency_limited": (429, True),
    "overloaded": (503, True),
    "queue_timeout": (503, True),
    "shutting_down": (503, True),
    "store_unavailable": (503, True),
    "upstream_unavailable": (503, True),
    "upstream_timeout": (504, True),
    "upstream_disconnected": (502, True),
    "upstream_truncated": (502, True),
    "upstream_unauthorized": (502, False),
    "upstream_malformed": (502, False),
    "upstream_error": (502, True),
    "internal": (500, False),
}


def test_every_code_has_the_status_and_the_rule_of_the_protocol() -> None:
    rules = {str(code): (rule.status, rule.retryable) for code, rule in RULES.items()}

    assert rules == TABLE
    assert set(RULES) == set(Code)


def test_the_words_for_ends_are_one_vocabulary_without_doubles() -> None:
    words = [str(word) for kind in (FinishReason, ConnectionEnd, Code) for word in kind]

    assert len(words) == len(set(words))


@pytest.mark.parametrize(
    ("reason", "outcome"),
    [
        (FinishReason.STOP, Outcome.OK),
        (FinishReason.CANCELLED, Outcome.CLIENT),
        (ConnectionEnd.SLOW_CLIENT, Outcome.CLIENT),
        (Code.QUEUE_TIMEOUT, Outcome.SHED),
        (Code.INTERNAL, Outcome.INTERNAL),
        ("a word of a newer proxy", Outcome.UPSTREAM),
    ],
)
def test_every_end_is_somebody_s_doing(reason: str, outcome: Outcome) -> None:
    assert outcome_of(reason) is outcome


def test_a_word_that_nobody_knows_came_from_the_server_that_was_asked() -> None:
    assert (outcome_of("stop"), outcome_of("bored")) == (Outcome.OK, Outcome.UPSTREAM)
