from dataclasses import replace

from gateway.conversations.pending import ROW_BYTES, Entry, PendingWrites
from gateway.store.rows import Answer, NewTurn, Status, StoredMessage, StoredPath

CONVERSATION = "cv_1"


def turn(number: int, *, parent: str | None = None, user: bool = True) -> NewTurn:
    question = StoredMessage(f"ms_q{number}", parent, "user", "hi") if user else None
    return NewTurn(
        owner="anonymous",
        conversation_id=CONVERSATION,
        user=question,
        answer_id=f"ms_a{number}",
        answer_parent=f"ms_q{number}" if user else str(parent),
        stream_id="s",
        leave="cancel",
        model="m",
        system=None,
        keeper="k",
        asked_as=None,
        asked_at=1.0,
    )


def partial(number: int, text: str = "H") -> Answer:
    return Answer(f"ms_a{number}", Status.STREAMING, text)


def final(number: int, text: str = "Hello") -> Answer:
    return Answer(f"ms_a{number}", Status.SENT, text)


def room(rows: int) -> int:
    """Return the bytes of so many short rows."""
    return rows * (ROW_BYTES + 20)


def ids(pending: PendingWrites) -> list[str]:
    found = []
    while (entry := pending.oldest()) is not None:
        found.append(entry.id)
        pending.drop(entry)
    return found


def test_what_came_first_is_written_first_and_an_answer_stays_in_its_turns_place() -> None:
    pending = PendingWrites()
    pending.begin(turn(1))
    pending.begin(turn(2))
    pending.save(final(1))

    oldest = pending.oldest()

    assert oldest is not None
    assert (oldest.turn, oldest.answer) == (turn(1), final(1))
    assert ids(pending) == ["ms_a1", "ms_a2"]
    assert pending.bytes == 0


def test_what_became_known_while_it_was_written_is_written_next() -> None:
    pending = PendingWrites()
    pending.begin(turn(1))
    being_written = pending.oldest()
    assert being_written is not None
    pending.save(final(1))

    pending.written(being_written)

    left = pending.oldest()
    assert left is not None
    assert (left.turn, left.answer) == (None, final(1))
    pending.written(left)
    pending.written(left)  # again: it is gone
    assert (len(pending), pending.bytes, "ms_a1" in pending) == (0, 0, False)


def test_a_later_save_takes_the_place_of_an_earlier_one() -> None:
    pending = PendingWrites()
    pending.save(partial(1, "x" * 100))
    first_bytes = pending.bytes

    pending.save(final(1, "y"))

    assert (len(pending), pending.bytes) == (1, first_bytes - 99)


def test_partial_saves_go_first_when_there_is_no_room_for_a_row() -> None:
    pending = PendingWrites(most_bytes=room(3))
    pending.save(final(1))
    pending.save(partial(2))
    pending.begin(turn(3))
    pending.save(partial(3))

    assert pending.save(final(4))

    assert ids(pending) == ["ms_a1", "ms_a3", "ms_a4"]


def test_partial_saves_go_first_when_there_are_no_bytes_left() -> None:
    rows = [Entry.of(turn(1), partial(1, "x" * 1000)), Entry.of(None, partial(2)), Entry.of(None, final(3))]
    most_bytes = sum(row.size for row in rows) - 100
    pending = PendingWrites(most_bytes=most_bytes)
    pending.begin(turn(1))
    pending.save(partial(1, "x" * 1000))
    pending.save(partial(2))

    assert pending.save(final(3))

    first = pending.oldest()
    assert first is not None
    assert (first.turn, first.answer) == (turn(1), None)
    assert pending.bytes <= most_bytes
    assert ids(pending) == ["ms_a1", "ms_a2", "ms_a3"]


def test_as_many_partial_saves_go_as_make_room_for_a_row() -> None:
    size = Entry.of(None, partial(1)).size
    pending = PendingWrites(most_bytes=3 * size)
    for number in (1, 2, 3):
        pending.save(partial(number))

    assert pending.save(final(4, "x" * size))
    assert ids(pending) == ["ms_a3", "ms_a4"]


def test_a_partial_save_for_which_there_is_no_room_takes_no_others() -> None:
    pending = PendingWrites(most_bytes=room(1))
    pending.save(partial(1))

    assert not pending.save(partial(2))
    assert ids(pending) == ["ms_a1"]


def test_a_row_is_refused_when_only_rows_like_it_are_left() -> None:
    pending = PendingWrites(most_bytes=room(2))
    pending.begin(turn(1))
    pending.save(final(2))

    assert not pending.begin(turn(3))
    assert pending.save(final(1))
    assert ids(pending) == ["ms_a1", "ms_a2"]


def test_pictures_count_among_the_bytes() -> None:
    pictured = replace(turn(1), user=StoredMessage("ms_q1", None, "user", "hi", images=("x" * 1000,)))

    assert Entry.of(pictured, None).size - Entry.of(turn(1), None).size == 1000 + len('[""]')


def test_a_history_knows_the_turns_that_are_in_no_row_yet() -> None:
    pending = PendingWrites()
    pending.begin(turn(1, parent="ms_stored"))
    pending.save(final(1, "Hello"))
    pending.begin(turn(2, parent="ms_a1"))
    pending.begin(replace(turn(9), conversation_id="cv_other"))
    pending.save(final(8))

    path, above = pending.unwritten("anonymous", CONVERSATION, None)

    assert [message.id for message in path] == ["ms_q1", "ms_a1", "ms_q2", "ms_a2"]
    assert [message.status for message in path] == [Status.SENT, Status.SENT, Status.SENT, Status.STREAMING]
    assert path[1].content == "Hello"
    assert above == "ms_stored"


def test_a_conversation_that_begins_here_has_nothing_above_it() -> None:
    pending = PendingWrites()
    pending.begin(turn(1))

    assert pending.unwritten("anonymous", CONVERSATION, None)[1] == ""
    assert pending.unwritten("another", CONVERSATION, None) == ([], None)
    assert pending.unwritten("anonymous", CONVERSATION, "ms_stored") == ([], "ms_stored")


def test_an_answer_that_is_given_anew_follows_a_question_that_is_stored() -> None:
    pending = PendingWrites()
    pending.begin(turn(1, parent="ms_stored", user=False))

    path, above = pending.unwritten("anonymous", CONVERSATION, None)

    assert ([message.id for message in path], above) == (["ms_a1"], "ms_stored")


def test_a_stored_answer_is_read_with_the_end_that_is_not_written_yet() -> None:
    pending = PendingWrites()
    pending.save(final(1, "Hello"))
    stored = StoredMessage("ms_a1", None, "assistant", "He", status=Status.STREAMING)
    other = StoredMessage("ms_q2", "ms_a1", "user", "hi")

    read = pending.over(StoredPath(None, (stored, other)))

    assert [(one.content, one.status) for one in read.messages] == [("Hello", Status.SENT), ("hi", Status.SENT)]
