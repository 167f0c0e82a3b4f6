import pytest
from multidict import CIMultiDict

from services.wire.trace import STATE_BYTES, Trace, trace_of

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def of(*headers: tuple[str, str]) -> Trace | None:
    return trace_of(CIMultiDict(headers))


def test_a_request_that_names_a_trace_belongs_to_it_and_hands_it_on_unchanged() -> None:
    trace = of(("TraceParent", PARENT))

    assert trace is not None
    assert trace.id == "0af7651916cd43dd8448eb211c80319c"
    assert trace.headers == {"traceparent": PARENT}


def test_a_state_goes_with_it_as_one_list_on_however_many_lines_it_came() -> None:
    trace = of(("tracestate", "a=1"), ("traceparent", PARENT), ("tracestate", "b=2"))

    assert trace is not None
    assert trace.headers == {"traceparent": PARENT, "tracestate": "a=1,b=2"}


@pytest.mark.parametrize("length", [STATE_BYTES, STATE_BYTES + 1])
def test_a_state_of_more_than_512_bytes_is_dropped_and_the_trace_is_not(length: int) -> None:
    trace = of(("traceparent", PARENT), ("tracestate", "a" * length))

    assert trace == Trace(PARENT, "a" * length if length <= STATE_BYTES else "")


def test_a_state_with_what_is_no_printable_ascii_is_dropped() -> None:
    assert of(("traceparent", PARENT), ("tracestate", "a=\x01")) == Trace(PARENT)


@pytest.mark.parametrize(
    "parent",
    [
        "",
        PARENT.upper(),
        PARENT + "-more",
        PARENT[:-1],
        f"{PARENT}\n",
        PARENT.replace("00-", "01-", 1),
        PARENT.replace("0af7651916cd43dd8448eb211c80319c", "0" * 32),
        PARENT.replace("b7ad6b7169203331", "0" * 16),
        PARENT.replace("0af7", "0ag7"),
        "00-\u0661" + PARENT[4:],
    ],
)
def test_what_has_another_form_names_no_trace(parent: str) -> None:
    assert of(("traceparent", parent)) is None


def test_two_parents_name_none() -> None:
    assert of(("traceparent", PARENT), ("traceparent", PARENT)) is None


def test_a_state_alone_names_none() -> None:
    assert of(("tracestate", "a=1")) is None
