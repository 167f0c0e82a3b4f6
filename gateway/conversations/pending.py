"""What has still to be written to a database that is slow, full, locked or away: bounded, oldest first. Pure.

One entry is one answer, with its user's message while neither is there. What is known of it later takes the place of
what was known before, so a long answer holds one text, not one for each time it was saved.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final

from gateway.store.rows import Answer, NewTurn, Status, StoredMessage, StoredPath, size_of

MOST_BYTES: Final = 64 << 20
ROW_BYTES: Final = 8 << 10
"""What an entry counts beside its text: more than its objects, which are some 2 KiB, for a turn looks through all of
them (8,000: 2.5 ms). Refused: a bound in rows, which short answers reached at 4 % of the bytes that operators see."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One answer's rows as they have still to be written: both, or what is known of the answer."""

    turn: NewTurn | None
    answer: Answer | None
    size: int

    @classmethod
    def of(cls, turn: NewTurn | None, answer: Answer | None) -> "Entry":
        """Return it with what it weighs, in bytes."""
        user = None if turn is None else turn.user
        size = ROW_BYTES
        if user is not None:
            size += size_of(user.content, user.images)
        if answer is not None:
            size += size_of(answer.content, answer.thinking, answer.turns or answer.tool_calls)
        return cls(turn, answer, size)

    @property
    def id(self) -> str:
        """The answer's."""
        known = self.turn.answer_id if self.turn is not None else None
        return known or (self.answer.id if self.answer is not None else "")

    @property
    def is_partial(self) -> bool:
        """Whether it knows an answer that still streams."""
        return self.answer is not None and not self.answer.is_final


class PendingWrites:
    """The entries, in the order of their coming: an answer's parent is older than it."""

    def __init__(self, most_bytes: int = MOST_BYTES) -> None:
        self._entries: dict[str, Entry] = {}
        self._most_bytes = most_bytes
        self.bytes = 0

    def __len__(self) -> int:
        """How many there are."""
        return len(self._entries)

    def __contains__(self, answer_id: str) -> bool:
        """Whether something of this answer has still to be written."""
        return answer_id in self._entries

    def begin(self, turn: NewTurn) -> bool:
        """Take a new turn; False if there is no room for it."""
        return self._take(Entry.of(turn, None))

    def save(self, answer: Answer) -> bool:
        """Take what is known of an answer, in the place of what was; False if there is no room for it."""
        before = self._entries.get(answer.id)
        return self._take(Entry.of(before.turn if before is not None else None, answer))

    def oldest(self) -> Entry | None:
        """Return what is to be written next."""
        return next(iter(self._entries.values()), None)

    def written(self, entry: Entry) -> None:
        """Let go of what was written; what became known meanwhile stays."""
        now = self._entries.get(entry.id)
        if now is None:
            return
        if now is entry or now.answer is entry.answer:
            self._put(entry.id, None)
        else:
            self._put(entry.id, Entry.of(None, now.answer))

    def drop(self, entry: Entry) -> None:
        """Give an entry up: it cannot be written."""
        self._put(entry.id, None)

    # --- what a history must know that the database does not yet

    def unwritten(self, owner: str, conversation_id: str, leaf: str | None) -> tuple[list[StoredMessage], str | None]:
        """Return the messages from ``leaf`` upward that are in no row yet, oldest first, and the one above them.

        Args:
            leaf: None for the newest that is known here; "" for none.
        """
        known = self._unwritten_of(owner, conversation_id)
        if leaf is None and known:
            leaf = next(reversed(known))
        path: list[StoredMessage] = []
        while leaf is not None and (message := known.get(leaf)) is not None:
            path.append(message)
            leaf = message.parent or ""  # None would be the newest again
        return path[::-1], leaf

    def over(self, path: StoredPath) -> StoredPath:
        """Return a path as it is known here: with the ends that have still to be written."""
        return replace(path, messages=tuple(self._known(message) for message in path.messages))

    def _unwritten_of(self, owner: str, conversation_id: str) -> dict[str, StoredMessage]:
        known: dict[str, StoredMessage] = {}
        for entry in self._entries.values():
            turn = entry.turn
            if turn is None or (turn.owner, turn.conversation_id) != (owner, conversation_id):
                continue
            if turn.user is not None:
                known[turn.user.id] = turn.user
            row = StoredMessage(turn.answer_id, turn.answer_parent, "assistant", "", status=Status.STREAMING)
            known[turn.answer_id] = self._known(replace(row, asked_as=turn.asked_as))
        return known

    def _known(self, message: StoredMessage) -> StoredMessage:
        entry = self._entries.get(message.id)
        if entry is None or entry.answer is None:
            return message
        answer = entry.answer
        calls, turns = answer.tool_calls, answer.turns
        return replace(message, content=answer.content, tool_calls=calls, turns=turns, status=answer.status)

    # --- the bounds

    def _take(self, entry: Entry) -> bool:
        """Put an entry in its place, if it fits when partial saves have gone: the next save tells as much as they."""
        before = self._entries.get(entry.id)
        size = entry.size - (before.size if before is not None else 0)
        if not self._has_room(size):
            if entry.is_partial:
                return False
            for partial in [one for one in self._partial() if one.id != entry.id]:
                self._put(partial.id, None if partial.turn is None else Entry.of(partial.turn, None))
                if self._has_room(size):
                    break
            else:
                return False
        self._put(entry.id, entry)
        return True

    def _partial(self) -> Iterable[Entry]:
        return (entry for entry in self._entries.values() if entry.is_partial)

    def _has_room(self, size: int) -> bool:
        return self.bytes + size <= self._most_bytes

    def _put(self, answer_id: str, entry: Entry | None) -> None:
        before = self._entries.get(answer_id)
        self.bytes += (entry.size if entry is not None else 0) - (before.size if before is not None else 0)
        if entry is not None:
            self._entries[answer_id] = entry
        else:
            self._entries.pop(answer_id, None)
