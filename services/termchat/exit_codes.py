"""What the program's exit code says to a script. Pure."""

from collections.abc import Mapping
from enum import IntEnum
from typing import Final

from services.termchat.answer_events import AnswerFailed, AnswerFinished
from services.termchat.following import UNREACHABLE, Following


class Exit(IntEnum):
    """How the program ended."""

    OK = 0
    FAILED = 1
    USAGE = 2
    UNREACHABLE = 3
    UNAUTHORISED = 4
    BUSY = 5
    INTERRUPTED = 130
    BROKEN_PIPE = 141


_OF_CODES: Final[Mapping[str, Exit]] = {
    UNREACHABLE: Exit.UNREACHABLE,
    "unauthorized": Exit.UNAUTHORISED,
    "forbidden": Exit.UNAUTHORISED,
    "model_not_allowed": Exit.UNAUTHORISED,
    "rate_limited": Exit.BUSY,
    "concurrency_limited": Exit.BUSY,
    "overloaded": Exit.BUSY,
    "queue_timeout": Exit.BUSY,
    "shutting_down": Exit.BUSY,
    "store_unavailable": Exit.BUSY,
}


def exit_of(answer: Following) -> Exit:
    """Return the exit code for an answer that is over; one that somebody stopped is not whole."""
    end = answer.end
    if answer.was_stopped:
        return Exit.INTERRUPTED
    if isinstance(end, AnswerFinished):
        return Exit.FAILED if answer.mark else Exit.OK
    return exit_of_refusal(end) if end else Exit.FAILED


def exit_of_refusal(failed: AnswerFailed) -> Exit:
    """Return the exit code for a request that was refused."""
    return _OF_CODES.get(failed.code, Exit.FAILED)
