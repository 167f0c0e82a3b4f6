from services.wire.bodies import fingerprint
from services.wire.request import Asked, ModelRequest
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
