"""Which of the answers that proxies hold of one chat a page comes back to."""

import json
from typing import Any

import pytest

from gateway.routes.ai_sdk import newest


def held(stream_id: str, **told: Any) -> bytes:
    return json.dumps({"stream_id": stream_id, "message_id": f"of {stream_id}", **told}).encode()


@pytest.mark.parametrize(
    ("found", "stream_id"),
    [
        ([held("a", age_s=5.0)], "a"),
        ([held("a", age_s=5.0), held("b", age_s=0.25)], "b"),
        ([held("b", age_s=0.25), held("a", age_s=5.0)], "b"),
        ([held("a"), held("b", age_s=900.0)], "b"),
        ([held("a"), held("b")], "a"),
    ],
    ids=["one", "the second is younger", "the first is", "one proxy is older and tells none", "both are"],
)
def test_the_youngest_is_the_one_that_is_gone_on_with(found: list[bytes], stream_id: str) -> None:
    assert newest(found) == (stream_id, f"of {stream_id}")


def test_where_no_proxy_holds_any_there_is_none() -> None:
    assert newest([]) is None
