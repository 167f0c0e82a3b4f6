"""What every dialect of a reader can say."""

from collections.abc import Sequence
from typing import Protocol

from services.wire.events import Status
from services.wire.native import Numbered


class Dialect(Protocol):
    """Events to frames, for one reader of one stream."""

    def frames(self, events: Sequence[Numbered]) -> bytes:
        """Return the frames of numbered events, in order, back to back."""
        ...

    def status(self, status: Status) -> bytes:
        """Return a frame that tells what the stream waits for."""
        ...
