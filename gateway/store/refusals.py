"""Why something of a conversation cannot be had, as its client is told. Pure."""

from typing import Final

from services.wire.events import ApiError, Code, Failed

RETRY_AFTER_S: Final = 2
_AWAY: Final = Failed(Code.STORE_UNAVAILABLE, "Conversations cannot be read or written right now. Ask again later.")
_NOT_FOUND: Final = Failed(Code.NOT_FOUND, "There is no such conversation.")


class StoreUnavailable(ApiError):
    """What waiting may mend: the database is away, locked, full, read-only, slow, or not migrated yet.

    Args:
        why: the type of what was raised, for the log.
    """

    def __init__(self, why: str) -> None:
        super().__init__(_AWAY, retry_after_s=RETRY_AFTER_S)
        self.why = why


class NotFound(ApiError):
    """Unknown, or another's: the answer is the same."""

    def __init__(self, words: str = _NOT_FOUND.message) -> None:
        super().__init__(Failed(Code.NOT_FOUND, words))


class Conflict(ApiError):
    """It is not in the state that this needs."""

    def __init__(self, words: str) -> None:
        super().__init__(Failed(Code.CONFLICT, words))
