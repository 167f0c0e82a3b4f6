"""A line (proxy/streams/permits.py) whose permits change: a pool's, whose member goes away and comes back."""

from proxy.streams.permits import Admission, Place

MODEL = "m"


def granted(*places: Place) -> list[bool]:
    return [place.granted.done() for place in places]


async def test_permits_that_come_are_given_to_who_waits_and_those_that_go_are_not_taken_back() -> None:
    permits = 2
    admission = Admission(permits=lambda _: permits, queue_length=8, queue_timeout_s=120)
    first, second, third, fourth = [admission.enter(MODEL, "anybody", chance=0.5) for _ in range(4)]
    permits = 1
    admission.refresh()
    first.leave()
    fewer = granted(second, third, fourth)
    permits = 3
    fifth = admission.enter(MODEL, "anybody", chance=0.5)  # behind those who waited
    more = granted(third, fourth, fifth)
    permits = 4
    admission.refresh()

    assert fewer == [True, False, False]
    assert more == [True, True, False]
    assert granted(fifth) == [True]
