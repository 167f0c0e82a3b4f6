"""The calls of a stream that run only if a person says so, and what that person said."""

import asyncio
from enum import Enum, auto

from services.wire.events import Approval


class Heard(Enum):
    """What a person's word about a call means."""

    TAKEN = auto()  # the first
    SAID_BEFORE = auto()  # the same once more
    CONTRADICTS = auto()  # another than the first, which stands
    NOT_AWAITED = auto()  # nobody asked, or not any more


class Approvals:
    """What was asked of people about one stream's calls, by the calls' ids.

    A word may come before it is waited for: a call is shown when the model makes it, and runs when its turn is over.
    """

    def __init__(self) -> None:
        self._awaited: dict[str, asyncio.Future[bool]] = {}
        self._said: dict[str, bool] = {}

    def expect(self, call_id: str) -> None:
        """A call was shown that somebody has to approve."""
        self._awaited[call_id] = asyncio.get_running_loop().create_future()

    def say(self, call_id: str, *, approve: bool) -> Heard:
        """Take a person's word about a call; the first one stands."""
        if (said := self._said.get(call_id)) is not None:
            return Heard.SAID_BEFORE if said == approve else Heard.CONTRADICTS
        awaited = self._awaited.get(call_id)
        if awaited is None or awaited.done():
            return Heard.NOT_AWAITED
        self._said[call_id] = approve
        awaited.set_result(approve)
        return Heard.TAKEN

    async def said(self, call_id: str, within_s: float) -> Approval:
        """Wait for a person's word about a call."""
        awaited = self._awaited[call_id]
        await asyncio.wait([awaited], timeout=within_s)
        self.forget(call_id)
        if call_id not in self._said:
            return Approval.EXPIRED
        return Approval.GIVEN if self._said[call_id] else Approval.REFUSED

    def forget(self, call_id: str) -> None:
        """A call is not waited for any more; what was said of it is kept."""
        self._awaited.pop(call_id, None)

    def end(self) -> None:
        """The stream is over: nothing is waited for any more."""
        self._awaited.clear()
