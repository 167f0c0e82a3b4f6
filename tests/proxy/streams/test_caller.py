import pytest

from proxy.streams.caller import Caller, Leave, Lifetimes
from services.wire.request import Asked, ChatRequest, Message, ModelRequest, Wishes

HASH = "0f" * 32


def asked(text: str) -> Asked[ModelRequest]:
    return Asked(ChatRequest(model="m", messages=(Message("user", text),)), Wishes())


@pytest.mark.parametrize(
    ("leave", "seconds"), [(Leave.DIRECT, 0.0), (Leave.CANCEL, 5.0), (Leave.CONTINUE, 30.0)], ids=list(Leave)
)
def test_how_long_a_stream_goes_on_unfollowed_is_what_leaving_means(leave: Leave, seconds: float) -> None:
    assert Lifetimes(grace_s=30.0, keep_s=1.0).unfollowed_s(leave) == seconds


def test_a_request_is_told_from_another_by_what_it_asks_or_by_what_its_gateway_says_of_it() -> None:
    own = Caller("r", "o", Leave.CANCEL, "f", key="k")
    told = Caller("r", "o", Leave.CANCEL, "f", key="k", asked_as=HASH)

    assert own.fingerprint(asked("hi")) != own.fingerprint(asked("ho"))
    assert told.fingerprint(asked("hi")) == told.fingerprint(asked("ho")) == bytes.fromhex(HASH)
