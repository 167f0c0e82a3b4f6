"""The limiter: what is held while a stream runs, and booked once when it has ended."""

from datetime import UTC, datetime, timedelta, tzinfo

import pytest
from structlog.testing import capture_logs

from gateway.guard.key_text import owner_of
from gateway.guard.keyring import ANYBODY, Principal
from gateway.guard.keys import Key
from gateway.limits import limiter as limiting
from gateway.limits.limiter import Limiter, Unread
from gateway.limits.place import Place
from gateway.limits.usage import Of, Spent, told
from services.wire.events import ApiError, Code

STREAM = "abcd.UH4M3T7NBM4F75SSD3CGRRGIXU"


def principal(name: str = "Ada", **limits: int) -> Principal:
    key = Key.model_validate({"id": "a1B2c3D4", "hash": "0" * 64, "name": name, **limits})
    return Principal(owner_of(b"p" * 32, name), key)


def refusal(place: Place) -> tuple[Code, int | None]:
    with pytest.raises(ApiError) as refused:
        place.demand()
    return refused.value.failed.code, refused.value.retry_after_s


async def running(limiter: Limiter, who: Principal, tokens: int = 100, *, joined: bool = False) -> Place:
    place = await limiter.admit(who, tokens)
    place.demand()
    limiter.began(place, STREAM, "tiny", joined=joined)
    return place


async def left_today(limiter: Limiter, who: Principal) -> object:
    return (await limiter.page(who, {who.key.id}, of_all=False))["tokens_left"]


async def at_once(limiter: Limiter, who: Principal) -> object:
    return (await limiter.page(who, {who.key.id}, of_all=False))["streams"]


def requests_used(limiter: Limiter) -> int:
    return sum(used.requests for used in limiter.usage.rows.values())


async def test_where_nobody_has_a_key_nothing_is_counted() -> None:
    limiter = Limiter(UTC)
    place = await limiter.admit(ANYBODY, 512)
    limiter.began(place, STREAM, "tiny", joined=False)
    limiter.ended(place, Spent(1, 2))
    followed = limiter.follows(ANYBODY, STREAM, "tiny")
    limiter.ended(followed, Spent(1, 2))

    assert (place.demand(), place.verdict.rate, limiter.usage.rows) == (512, None, {})


async def test_an_answer_that_ended_gives_its_place_back_and_is_booked_as_it_was_counted() -> None:
    limiter, who = Limiter(UTC), principal(streams=1, tokens_per_day=1000)
    place = await running(limiter, who, 600)
    second = await limiter.admit(who, 600)
    during = await left_today(limiter, who)
    limiter.ended(place, Spent(30, 70))

    assert refusal(second)[0] is Code.CONCURRENCY_LIMITED
    assert (during, await left_today(limiter, who)) == (400, 900)
    assert [(row["input_tokens"], row["output_tokens"]) for row in told(limiter.usage.rows, None)] == [(30, 70)]


async def test_a_request_that_came_to_no_stream_uses_nothing() -> None:
    limiter, who = Limiter(UTC), principal(streams=1, tokens_per_day=1000)
    place = await limiter.admit(who, 600)
    limiter.left(place, Spent(), may_go_on=False)

    assert (await left_today(limiter, who), await at_once(limiter, who), limiter.usage.rows) == (1000, 0, {})


async def test_an_answer_that_nobody_reads_keeps_its_place_until_it_is_over_and_is_booked_as_counted() -> None:
    limiter, who = Limiter(UTC), principal(streams=1, tokens_per_day=1000)
    limiter.left(await running(limiter, who, 600), Spent(0, 1), may_go_on=True)
    (unread,) = limiter.unread()
    limiter.goes_on(unread, Spent(0, 50))
    limiter.sweep()
    during = await at_once(limiter, who), await left_today(limiter, who), refusal(await limiter.admit(who, 1))[0]
    limiter.is_over(unread, Spent(7, 200))
    limiter.is_over(unread, Spent(7, 200))

    assert unread == Unread(who, STREAM)
    assert during == (1, 400, Code.CONCURRENCY_LIMITED)
    assert (await at_once(limiter, who), await left_today(limiter, who), requests_used(limiter)) == (0, 793, 1)
    assert limiter.unread() == []


async def test_an_answer_of_which_nobody_hears_is_given_up_as_far_as_it_was_last_heard_of(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    limiter, who = Limiter(UTC), principal(streams=1)
    limiter.left(await running(limiter, who), Spent(0, 5), may_go_on=True)
    limiter.sweep()
    waiting = await at_once(limiter, who)
    monkeypatch.setattr(limiting, "UNHEARD_S", 0.0)
    limiter.goes_on(Unread(who, STREAM), Spent(0, 9))
    limiter.sweep()

    assert (waiting, await at_once(limiter, who)) == (1, 0)
    assert [row["output_tokens"] for row in told(limiter.usage.rows, None)] == [9]


async def test_an_answer_that_is_read_again_is_its_reader_s_to_tell_of() -> None:
    limiter, who = Limiter(UTC), principal()
    limiter.left(await running(limiter, who), Spent(0, 5), may_go_on=True)
    (unread,) = limiter.unread()
    back = limiter.follows(who, STREAM, "tiny")
    limiter.goes_on(unread, Spent(0, 6))
    limiter.is_over(unread, Spent(0, 7))
    read = await at_once(limiter, who), limiter.unread(), requests_used(limiter)
    limiter.ended(back, Spent(0, 8))

    assert read == (1, [], 0)
    assert [row["output_tokens"] for row in told(limiter.usage.rows, None)] == [8]


async def test_who_said_that_it_leaves_keeps_nothing_unless_another_reads_on() -> None:
    limiter, who = Limiter(UTC), principal()
    place, tab = await running(limiter, who), limiter.follows(who, STREAM, "tiny")
    limiter.left(place, Spent(), may_go_on=False)
    read_on = await at_once(limiter, who)
    limiter.left(tab, Spent(), may_go_on=False)

    assert (read_on, await at_once(limiter, who), requests_used(limiter)) == (1, 0, 1)


async def test_eight_readers_of_an_answer_are_one_use_of_it() -> None:
    limiter, who = Limiter(UTC), principal(streams=1, tokens_per_day=1000)
    readers = [await running(limiter, who), *(limiter.follows(who, STREAM, "tiny") for _ in range(7))]
    for reader in readers:
        limiter.ended(reader, Spent(0, 10))

    assert (await at_once(limiter, who), await left_today(limiter, who), requests_used(limiter)) == (0, 990, 1)


async def test_a_repeated_request_that_joins_its_answer_takes_no_second_place() -> None:
    limiter, who = Limiter(UTC), principal(tokens_per_day=1000)
    places = [await running(limiter, who, joined=joined) for joined in (False, True)]
    both = await at_once(limiter, who), await left_today(limiter, who)
    for place in places:
        limiter.ended(place, Spent(0, 10))

    assert (both, await left_today(limiter, who), requests_used(limiter)) == ((1, 900), 990, 1)


@pytest.mark.parametrize(("joined", "streams", "left"), [(True, 1, 400), (False, 2, -200)])
async def test_a_request_that_repeats_an_answer_is_let_in_beside_it_and_has_a_place_only_if_it_began_another(
    joined: bool, streams: int, left: int
) -> None:
    limiter, who = Limiter(UTC), principal(streams=1, tokens_per_day=1000)
    limiter.began(await limiter.admit(who, 600, "a key"), STREAM, "tiny", joined=False)
    others = [await limiter.admit(who, 600, key) for key in ("another key", None)]
    strangers = await limiter.admit(principal("Bob", streams=1), 5, "a key")
    again = await limiter.admit(who, 600, "a key")
    limiter.began(again, STREAM if joined else f"{STREAM}2", "tiny", joined=joined)
    standing = await at_once(limiter, who), await left_today(limiter, who)

    assert [refusal(one)[0] for one in others] == [Code.CONCURRENCY_LIMITED] * 2
    assert (again.demand(), strangers.demand()) == (600, 5)
    assert standing == (streams, max(0, left))


async def test_a_repeat_may_have_no_more_than_the_day_had_left_for_its_answer_and_counts_as_a_request() -> None:
    limiter, who = Limiter(UTC), principal(tokens_per_day=100, requests_per_minute=6, burst=3)
    limiter.began(await limiter.admit(who, 512, "a key"), STREAM, "tiny", joined=False)
    repeats = [await limiter.admit(who, 512, "a key"), await limiter.admit(who, 50, "a key")]
    too_often = await limiter.admit(who, 512, "a key")

    assert [one.demand() for one in repeats] == [100, 50]
    assert refusal(too_often)[0] is Code.RATE_LIMITED


async def test_a_repeat_of_an_answer_that_has_ended_is_a_request_like_any_other() -> None:
    limiter, who = Limiter(UTC), principal(tokens_per_day=100)
    place = await limiter.admit(who, 100, "a key")
    limiter.began(place, STREAM, "tiny", joined=False)
    limiter.ended(place, Spent(0, 100))

    assert refusal(await limiter.admit(who, 100, "a key"))[0] is Code.RATE_LIMITED


async def test_of_an_answer_that_its_proxy_holds_no_more_what_was_read_is_booked_and_another_s_word_is_none() -> None:
    limiter, who = Limiter(UTC), principal()
    limiter.left(await running(limiter, who), Spent(0, 5), may_go_on=True)
    limiter.is_over(Unread(principal("Bob"), STREAM), Spent(0, 9))
    others = await at_once(limiter, who)
    limiter.is_over(Unread(who, STREAM), None)

    assert (others, await at_once(limiter, who)) == (1, 0)
    assert [row["output_tokens"] for row in told(limiter.usage.rows, None)] == [5]


async def test_a_stream_that_another_gateway_began_is_held_and_not_counted_as_used_here() -> None:
    limiter, who = Limiter(UTC), principal(streams=1)
    place = limiter.follows(who, STREAM, "tiny")
    held = await at_once(limiter, who)
    limiter.ended(place, Spent(3, 4))

    assert (held, await at_once(limiter, who), limiter.usage.rows) == (1, 0, {})


async def test_who_followed_another_gateway_s_stream_and_left_books_nothing_of_it() -> None:
    limiter, who = Limiter(UTC), principal(streams=1)
    limiter.left(limiter.follows(who, STREAM, "tiny"), Spent(0, 5), may_go_on=False)
    limiter.left(limiter.follows(who, STREAM, "tiny"), Spent(0, 5), may_go_on=True)
    limiter.is_over(Unread(who, STREAM), Spent(0, 9))

    assert (await at_once(limiter, who), limiter.usage.rows) == (0, {})


async def test_an_answer_that_cannot_be_had_any_more_is_booked_as_far_as_it_was_seen() -> None:
    limiter, who = Limiter(UTC), principal(streams=1)
    limiter.left(await running(limiter, who), Spent(0, 5), may_go_on=False)

    assert await at_once(limiter, who) == 0
    assert [row["output_tokens"] for row in told(limiter.usage.rows, None)] == [5]


async def test_a_request_without_a_stream_is_booked_by_its_own_count() -> None:
    limiter, who = Limiter(UTC), principal(streams=1, tokens_per_day=1000)
    place = await limiter.admit(who, 0)
    limiter.book(place, Spent(input_tokens=12), "embedder")

    assert (await at_once(limiter, who), await left_today(limiter, who), requests_used(limiter)) == (0, 988, 1)


async def test_who_asks_too_often_is_told_when_to_come_back() -> None:
    limiter, who = Limiter(UTC), principal(requests_per_minute=6)
    first, second = await limiter.count(who), await limiter.count(who)

    assert first.demand() == 0
    assert refusal(second) == (Code.RATE_LIMITED, 10)


async def test_who_has_used_the_day_is_told_when_it_ends() -> None:
    limiter, who = Limiter(UTC), principal(tokens_per_day=10)
    limiter.ended(await running(limiter, who, 10), Spent(0, 10))
    place = await limiter.admit(who, 10)
    code, retry_after_s = refusal(place)

    assert code is Code.RATE_LIMITED
    assert retry_after_s is not None
    assert place.day.left_s <= retry_after_s <= 86_400


class TravellingZone(tzinfo):
    """A zone in which another day can be had by a journey."""

    offset = timedelta(hours=-23)

    def utcoffset(self, _dt: datetime | None) -> timedelta:
        return self.offset

    def dst(self, _dt: datetime | None) -> timedelta:
        return timedelta()

    def tzname(self, _dt: datetime | None) -> str:
        return "travelling"


async def test_a_day_is_told_once_when_it_is_over_and_one_that_is_too_old_is_forgotten_then() -> None:
    zone, long_ago = TravellingZone(), Of("2000-01-01", "a1B2c3D4", "tiny")
    limiter = Limiter(zone)
    limiter.ended(await running(limiter, principal()), Spent(1, 2))
    (row,) = limiter.usage.rows
    limiter.usage.add(long_ago, Spent(), 0.0)
    with capture_logs() as lines:
        limiter.sweep()
        zone.offset = timedelta(hours=23)
        limiter.sweep()
        limiter.sweep()

    assert [(line["event"], line["day"], line["rows"]) for line in lines] == [("usage.day", row.day, 1)]
    assert list(limiter.usage.rows) == [row]
