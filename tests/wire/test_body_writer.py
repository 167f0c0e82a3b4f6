import json
from typing import Any

import pytest

from services.wire.body_writer import fingerprint, written_embedding
from services.wire.request import Asked, BadBody, EmbedRequest, ModelRequest
from tests.wire.requests import read

USER = {"role": "user", "content": "hi"}


def asked(route: str, **fields: object) -> Asked[ModelRequest]:
    return read(route, {"model": "m", **fields})


def test_a_fingerprint_tells_one_request_from_another_whatever_the_order_of_its_keys() -> None:
    """It stands for a body that is compared, and is not kept: one may have megabytes."""
    one = asked("proxy chat", messages=[USER], options={"seed": 1, "top_k": 2})
    same = asked("proxy chat", options={"top_k": 2, "seed": 1}, messages=[USER])
    others = [
        asked("proxy chat", messages=[USER], options={"seed": 1}),
        asked("proxy chat", messages=[USER], options={"seed": 1, "top_k": 2}, stream=False),
        asked("proxy chat", messages=[USER], options={"seed": 1, "top_k": 2}, keep_alive=5),
        asked("proxy generate", prompt="hi"),
    ]

    assert fingerprint(one) == fingerprint(same)
    assert len({fingerprint(one), *(fingerprint(other) for other in others)}) == 5
    assert len(fingerprint(one)) == 32


@pytest.mark.parametrize(
    ("request_", "sent_on"),
    [
        (EmbedRequest("m", ("a", "b"), 16, truncate=False), {"input": ["a", "b"], "dimensions": 16, "truncate": False}),
        (EmbedRequest("m", "a"), {"input": "a"}),
        (EmbedRequest("m", "a", single=True), {"prompt": "a"}),
    ],
    ids=["many", "one", "by the older route"],
)
def test_what_is_to_be_embedded_is_written_for_the_next_hop(request_: EmbedRequest, sent_on: dict[str, Any]) -> None:
    assert json.loads(written_embedding(request_)) == {"model": "m", **sent_on}


@pytest.mark.parametrize(
    ("extra", "words"),
    [
        ({"data": {}}, "provider is required"),
        ({"provider": "Gemini", "data": {}}, "provider must match ^[a-z0-9_-]{1,32}$"),
        ({"provider": "gemini"}, "data is required"),
        ({"provider": "gemini", "data": {"s": "x" * 65_529}}, "data must have at most 64 KiB"),
    ],
    ids=["nobody's", "of a strange name", "empty", "too long"],
)
def test_a_signature_that_is_none_is_refused(extra: dict[str, Any], words: str) -> None:
    with pytest.raises(BadBody) as refusal:
        read("gateway chat", {"messages": [{**USER, "extra": [extra]}]})

    assert refusal.value.message == f"messages[0].extra[0].{words}"
