"""How a call of a tool ended, and who counts it. Pure."""

from enum import StrEnum
from typing import Protocol


class CallEnd(StrEnum):
    """A closed list, the label of a metric; in the first two the tool has answered, in the last three nobody asked it.

    A person refused the call, or nobody approved it in time, or it was not to be run: its tool is not offered, its
    arguments are wrong, or there were too many before it. A call is cancelled while it runs, or while it waits to.
    """

    OK = "ok"
    ERROR = "error"
    TIMEOUT = "timeout"
    CANCELLED = "cancelled"
    DIED = "died"
    UNAVAILABLE = "unavailable"
    REFUSED = "refused"
    EXPIRED = "expired"
    NOT_RUN = "not_run"


class ToolMetrics(Protocol):
    """Who counts calls."""

    def tool_called(self, tool: str, end: CallEnd, seconds: float) -> None:
        """A call came to an end."""

    def tool_server_is_there(self, server: str, *, there: bool) -> None:
        """A server has said which tools it has, or is gone."""
