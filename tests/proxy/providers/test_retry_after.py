"""How long a model server asks to be left alone (`proxy/providers/retry_after.py`)."""

import pytest

from proxy.providers.retry_after import duration_s, wait_s

DATE = {"date": "Wed, 21 Oct 2026 07:28:00 GMT"}


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("34.4s", 34.4),
        ("7.66s", 7.66),
        ("6m0s", 360.0),
        ("1h2m3s", 3723.0),
        ("1d", 86_400.0),
        ("12ms", 0.012),
        ("1s500ms", 1.5),
        ("0s", 0.0),
        ("", None),
        ("soon", None),
        ("-1s", None),
        ("5", None),
        ("1s" * 17, None),
        ("٣s", None),
    ],
)
def test_a_duration_is_read_as_go_writes_it(text: str, seconds: float | None) -> None:
    assert duration_s(text) == seconds


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "2"}, 2.0),
        ({"retry-after": "0"}, 0.0),
        ({"retry-after": "1.5"}, 1.5),
        ({"retry-after-ms": "1500", "retry-after": "9"}, 1.5),
        ({**DATE, "retry-after": "Wed, 21 Oct 2026 07:28:30 GMT"}, 30.0),
        ({**DATE, "retry-after": "Wed, 21 Oct 2026 07:27:30 GMT"}, 0.0),
        ({"retry-after": "Wed, 21 Oct 2026 07:28:30 GMT"}, None),
        ({**DATE, "retry-after": "soon"}, None),
        ({**DATE, "retry-after": "Mon, 01 Jan 2026 99999999999999999999:00:00 GMT"}, None),
        ({"retry-after": "-1"}, None),
        ({"retry-after": "9" * 400}, None),
        ({"retry-after": "\u0661"}, None),
        ({"x-ratelimit-remaining-requests": "0"}, None),
        ({"x-ratelimit-requests-remaining": "0", "x-ratelimit-requests-reset": "2s"}, None),
        ({}, None),
    ],
)
def test_a_wait_is_a_number_of_seconds_or_a_moment_by_the_server_s_own_clock(
    headers: dict[str, str], seconds: float | None
) -> None:
    assert wait_s(headers) == seconds


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "6m0s"}, 360.0),
        ({"x-ratelimit-remaining-requests": "5", "x-ratelimit-reset-requests": "6m0s"}, None),
        (
            {
                "x-ratelimit-remaining-requests": "0",
                "x-ratelimit-reset-requests": "2s",
                "x-ratelimit-remaining-tokens": "0",
                "x-ratelimit-reset-tokens": "7.66s",
            },
            7.66,
        ),
        ({"x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": "soon"}, None),
        (
            {
                **DATE,
                "anthropic-ratelimit-input-tokens-remaining": "0",
                "anthropic-ratelimit-input-tokens-reset": "2026-10-21T07:28:05Z",
                "anthropic-ratelimit-requests-remaining": "49",
                "anthropic-ratelimit-requests-reset": "2026-10-21T08:28:05Z",
            },
            5.0,
        ),
        ({"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "9s", "retry-after": "1"}, 1.0),
    ],
)
def test_of_the_limits_those_count_that_are_used_up(headers: dict[str, str], seconds: float | None) -> None:
    assert wait_s(headers) == seconds


@pytest.mark.parametrize(
    ("words", "seconds"),
    [
        ("Rate limit reached. Please try again in 7.66s. Visit https://console", 7.66),
        ("Please try again in 1m26.4s.", 86.4),
        ("try again in 20ms", 0.02),
        ("try again in a moment", None),
        ("", None),
    ],
)
def test_where_no_header_says_it_the_words_do(words: str, seconds: float | None) -> None:
    assert wait_s({}, words) == seconds
    assert wait_s({"retry-after": "3"}, words) == 3.0
