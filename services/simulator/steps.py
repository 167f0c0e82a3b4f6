"""What an answer is made of: steps in time, from the words to the bytes on the socket.

Makers yield ``Wait``, ``Line``, ``Raw`` and ``End``; framing turns ``Line`` and ``Raw`` into ``Write``; the player
performs ``Wait``, ``Write`` and ``End``. A maker is resumed only when its wait is over, so what it stamps is true.
"""

from collections.abc import Iterator
from enum import StrEnum
from math import inf
from typing import Final, NamedTuple


class Ending(StrEnum):
    """How a response ends, as its reader's socket sees it."""

    WHOLE = "whole"  # framed to its end: the connection may be used again
    FIN = "fin"  # everything written arrives, then the end of the connection
    RST = "rst"  # what is not on its way yet is lost


class Wait(NamedTuple):
    """Let ``seconds`` pass; 0 is one turn of the event loop, infinity is silence until the reader leaves."""

    seconds: float


class Line(NamedTuple):
    """One line of the answer, its newline included.

    ``tokens`` is how many the model spent on it; ``at=`` counts the lines that are ``content``.
    """

    data: bytes
    tokens: int = 0
    content: bool = False
    final: bool = False


class Raw(NamedTuple):
    """Bytes for the socket as they are, outside of any framing."""

    data: bytes


class Write(NamedTuple):
    """Bytes for the socket in one send, and what the witness counts for them."""

    data: bytes
    lines: int = 0
    tokens: int = 0


class End(NamedTuple):
    """The answer is over."""

    how: Ending


MakerStep = Wait | Line | Raw | End
Step = Wait | Write | End
MakerSteps = Iterator[MakerStep]
Steps = Iterator[Step]

TURN: Final = Wait(0.0)
SILENCE: Final = Wait(inf)
WHOLE: Final = End(Ending.WHOLE)
FIN: Final = End(Ending.FIN)
RST: Final = End(Ending.RST)
