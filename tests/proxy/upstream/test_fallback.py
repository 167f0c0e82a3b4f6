import pytest

from proxy.upstream.fallback import CODES, code_of


@pytest.mark.parametrize(
    ("why", "code"),
    [
        ("refused", "refused"),
        ("connect_timeout", "refused"),
        ("untrusted", "tls"),
        ("reset", "eof"),
        ("503", "5xx"),
        ("529", "5xx"),
        ("402", "quota"),
        ("wedged", "hung"),
        ("400", "error"),
        ("what nobody knows", "error"),
    ],
)
def test_why_an_attempt_failed_is_told_in_a_word_of_a_closed_list(why: str, code: str) -> None:
    assert code_of(why) == code
    assert code in CODES
