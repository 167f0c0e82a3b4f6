import pytest

from services.wire.bare_status import refused_by_status
from services.wire.events import RULES, Code, Failed


@pytest.mark.parametrize("code", ["invalid_request", "misdirected", "unsupported_media_type"])
def test_a_bare_http_status_is_refused_under_the_code_that_has_it(code: str) -> None:
    refused = refused_by_status(RULES[Code(code)].status, "words")

    assert refused.failed == Failed(Code(code), "words")


@pytest.mark.parametrize("code", ["not_found", "method_not_allowed"])
def test_a_router_s_bare_status_gets_words_that_say_what_to_do(code: str) -> None:
    refused = refused_by_status(RULES[Code(code)].status, "404: Not Found")

    assert refused.failed.code is Code(code)
    assert "route" in refused.failed.message


@pytest.mark.parametrize(("status", "code"), [(417, Code.INVALID_REQUEST), (500, Code.INTERNAL), (599, Code.INTERNAL)])
def test_a_status_that_no_code_has_is_the_request_s_fault_or_ours(status: int, code: Code) -> None:
    assert refused_by_status(status, "words").failed.code is code
