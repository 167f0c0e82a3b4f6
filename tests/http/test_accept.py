import pytest
from aiohttp.test_utils import make_mocked_request

from services.http.accept import MOST_CHARACTERS, preferred
from services.http.edge import preferred_type

NDJSON, JSON, SSE, NATIVE = (
    "application/x-ndjson",
    "application/json",
    "text/event-stream",
    "text/event-stream;dialect=native",
)


@pytest.mark.parametrize(
    ("accept", "first", "second"),
    [
        ("", JSON, SSE),
        ("*/*", JSON, SSE),
        ("*", JSON, SSE),
        ("text/event-stream", SSE, SSE),
        ("Text/Event-Stream", SSE, SSE),
        ("text/*", SSE, SSE),
        ("application/json", JSON, JSON),
        ("APPLICATION/JSON", JSON, JSON),
        ("text/html", JSON, SSE),
        ("application/json, text/event-stream", JSON, SSE),
        ("text/event-stream, application/json", JSON, SSE),
        ("text/event-stream, */*", JSON, SSE),
        ("text/event-stream, */*;q=0.1", SSE, SSE),
        ("application/json, text/event-stream;q=0.9", JSON, JSON),
        ("application/json;q=0.9,text/event-stream", SSE, SSE),
        ("application/json ; Q=0.2 , text/event-stream ; q=0.3", SSE, SSE),
        ("text/event-stream;q=0, */*", JSON, JSON),
        ("text/event-stream;q=0.000, */*;q=0.001", JSON, JSON),
        ("application/json;q=0", JSON, SSE),
        ("application/json;q=0, */*", SSE, SSE),
        ("*/*;q=0", JSON, SSE),
        ("text/event-stream;q=0", JSON, SSE),
        ("text/*;q=0.9, text/event-stream;q=0.1, application/json;q=0.5", JSON, JSON),
        ("*/*;q=0.9, text/*;q=0.1", JSON, JSON),
        ("text/html, image/gif, *; q=.2, */*; q=.2", JSON, SSE),
        ("text/event-stream; charset=utf-8", SSE, SSE),
        ('text/event-stream; x="a, application/json;q=1"; q=0.4, application/json;q=0.3', SSE, SSE),
        ("text/event-streams", JSON, SSE),
        ("xtext/event-stream", JSON, SSE),
        ("text/event-stream-not, application/json;q=0.1", JSON, JSON),
        ("text/html;profile=text/event-stream, application/json;q=0.1", JSON, JSON),
    ],
)
def test_the_highest_q_wins_and_at_equal_q_our_first_choice(accept: str, first: str, second: str) -> None:
    """``first`` is what comes of it with JSON as our first choice, ``second`` with frames."""
    assert (preferred(accept, (JSON, SSE)), preferred(accept, (SSE, JSON))) == (first, second)


@pytest.mark.parametrize(
    ("accept", "chosen"),
    [
        (NATIVE, NATIVE),
        ("text/event-stream; dialect=native", NATIVE),
        ('Text/Event-Stream; Dialect="native"', NATIVE),
        ("text/event-stream", SSE),
        (f"{NATIVE}, */*", SSE),
        (f"{NATIVE}, text/event-stream;q=0.5", NATIVE),
        (f"{NATIVE};q=0.5, text/event-stream", SSE),
        (f"{NATIVE};q=0, text/event-stream;q=0.1", SSE),
        ("text/event-stream;dialect=other", SSE),
        ("text/event-stream;charset=utf-8;dialect=native", NATIVE),
    ],
)
def test_a_parameter_that_tells_two_offers_apart_is_heeded(accept: str, chosen: str) -> None:
    assert preferred(accept, (SSE, NATIVE)) == chosen


@pytest.mark.parametrize(
    "broken",
    ["text/event-stream;q=2", "text/event-stream;q=1.5", "text/event-stream;q=x", "text/event-stream;q=", "/", "text/",
     "text/event-stream;q=-1", "text/event-stream;q=nan", "text/event-stream;q=.", ";;;", ",,,", "text", "=;=,="],
)  # fmt: skip
def test_an_element_that_has_not_the_form_asks_for_nothing(broken: str) -> None:
    assert preferred(broken, (NDJSON, JSON, SSE)) == NDJSON
    assert preferred(f"{broken}, application/json;q=0.1", (NDJSON, JSON, SSE)) == JSON


@pytest.mark.parametrize("piece", ['"\\', '\\"', '";\\', '"', 'a;"', 'a/b;x="c\\"'], ids=ascii)
def test_quotes_without_an_end_are_seen_through_at_once(piece: str) -> None:
    """The pattern looked for each one's end anew, and held the server's loop for an hour: here it would not end."""
    assert preferred(piece * 200_000, (JSON, SSE)) == JSON


@pytest.mark.parametrize("quote", ['"', 'x/y;z="', 'x/y;z="a, b\\', 'x/y;z="\\"'], ids=ascii)
def test_a_quote_without_an_end_takes_along_what_stands_behind_it_and_not_what_stands_before(quote: str) -> None:
    assert preferred(f"text/event-stream, {quote}", (JSON, SSE)) == SSE
    assert preferred(f"{quote}, text/event-stream", (JSON, SSE)) == JSON


def test_what_stands_far_behind_asks_for_nothing() -> None:
    """A request's headers may have a megabyte."""
    before = "text/html," * (MOST_CHARACTERS // 10)
    asking = make_mocked_request("GET", "/", headers={"Accept": f"{before}text/event-stream"})

    assert preferred_type(asking, (JSON, SSE)) == JSON
