"""What somebody's leaving means, as a table; what a stream does then is test_stream's."""

from dataclasses import dataclass

import pytest

from proxy.streams.caller import Leave
from proxy.streams.presence import GONE_MAX, MAX_FOLLOWERS, Meaning, Presence, TooManyFollowers


@dataclass(eq=False)
class Reads:
    name: str = "reader"
    began: bool = True
    knows_the_stream: bool = True


def presence_of(leave: Leave, *readers: Reads) -> Presence[Reads]:
    presence: Presence[Reads] = Presence(leave)
    for reader in readers:
        presence.came(reader)
    return presence


@pytest.mark.parametrize("leave", Leave)
@pytest.mark.parametrize("over", [False, True])
def test_while_another_follows_the_answer_goes_on(leave: Leave, over: bool) -> None:
    one, other, third = Reads("one"), Reads("other"), Reads("third")
    presence = presence_of(leave, one, other, third)

    assert presence.vanished(one, over=over) is Meaning.GO_ON
    assert presence.departed("other", unseen=True, over=over) is Meaning.GO_ON
    assert list(presence) == [third]


@pytest.mark.parametrize("leave", Leave)
@pytest.mark.parametrize("knows", [False, True])
def test_the_log_of_an_answer_that_is_over_is_kept_whoever_leaves_and_how(leave: Leave, knows: bool) -> None:
    reader = Reads(knows_the_stream=knows)

    assert presence_of(leave, reader).vanished(reader, over=True) is Meaning.KEEP
    assert presence_of(leave, reader).departed("reader", unseen=not knows, over=True) is Meaning.KEEP


VANISHED = [
    (Leave.DIRECT, Reads(), Meaning.STOP),
    (Leave.DIRECT, Reads(began=False), Meaning.STOP),
    (Leave.CANCEL, Reads(), Meaning.WAIT),
    (Leave.CANCEL, Reads(knows_the_stream=False), Meaning.STOP),
    (Leave.CANCEL, Reads(began=False, knows_the_stream=False), Meaning.WAIT),
    (Leave.CONTINUE, Reads(), Meaning.WAIT),
    (Leave.CONTINUE, Reads(knows_the_stream=False), Meaning.STOP),
    (Leave.CONTINUE, Reads(began=False, knows_the_stream=False), Meaning.WAIT),
]


@pytest.mark.parametrize(("leave", "reader", "meaning"), VANISHED)
def test_the_last_one_vanishes_without_a_word(leave: Leave, reader: Reads, meaning: Meaning) -> None:
    presence = presence_of(leave, reader)

    assert presence.vanished(reader, over=False) is meaning
    assert presence.vanished(reader, over=False) is Meaning.GO_ON  # told twice, it left once


DEPARTED = [
    (Leave.CANCEL, Reads(), False, Meaning.STOP),
    (Leave.CANCEL, Reads(began=False), False, Meaning.STOP),
    (Leave.CONTINUE, Reads(), False, Meaning.WAIT),
    (Leave.CONTINUE, Reads(), True, Meaning.STOP),
    (Leave.CONTINUE, Reads(knows_the_stream=False), False, Meaning.STOP),
    (Leave.CONTINUE, Reads(began=False), True, Meaning.WAIT),
    (Leave.CONTINUE, Reads(began=False, knows_the_stream=False), True, Meaning.WAIT),
]


@pytest.mark.parametrize(("leave", "reader", "unseen", "meaning"), DEPARTED)
def test_the_last_one_departs_on_purpose(leave: Leave, reader: Reads, unseen: bool, meaning: Meaning) -> None:
    presence = presence_of(leave, reader)

    assert presence.departed("reader", unseen=unseen, over=False) is meaning
    assert (len(presence), presence.named("reader"), reader in presence) == (0, None, False)


def test_a_word_that_comes_after_the_socket_closed_still_counts_as_the_leaving_of_who_began() -> None:
    reader = Reads()
    presence = presence_of(Leave.CONTINUE, reader)

    assert presence.vanished(reader, over=False) is Meaning.WAIT
    assert presence.departed("reader", unseen=True, over=False) is Meaning.STOP


def test_a_word_about_somebody_unknown_stops_no_continue_stream() -> None:
    assert presence_of(Leave.CONTINUE).departed("nobody", unseen=True, over=False) is Meaning.WAIT


def test_eight_may_follow_and_no_ninth() -> None:
    presence = presence_of(Leave.CONTINUE, *(Reads(str(number)) for number in range(MAX_FOLLOWERS - 1)))
    presence.refuse_more()
    presence.came(Reads("eighth"))

    with pytest.raises(TooManyFollowers):
        presence.refuse_more()


def test_who_leaves_while_all_are_told_does_not_hide_the_next_one() -> None:
    presence = presence_of(Leave.CONTINUE, Reads("one"), Reads("other"))
    told = []
    for reader in presence:
        presence.vanished(reader, over=False)
        told.append(reader.name)

    assert told == ["one", "other"]


def test_names_of_those_who_left_are_forgotten_at_their_bound() -> None:
    """A page that reloads for ever must not fill the memory: the oldest name goes, and means nothing any more."""
    presence = presence_of(Leave.CONTINUE, Reads("stays"))
    for number in range(GONE_MAX + 1):
        presence.came(reader := Reads(f"reload-{number}"))
        presence.vanished(reader, over=False)
    presence.departed("stays", unseen=False, over=False)

    assert presence.departed("reload-0", unseen=True, over=False) is Meaning.WAIT
    assert presence.departed(f"reload-{GONE_MAX}", unseen=True, over=False) is Meaning.STOP
