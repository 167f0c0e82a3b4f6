"""How a call of a tool ended, and who counts it. Pure."""

from enum import StrEnum
from typing import Protocol


class CallEnd(StrEnum):
    """A closed list, the label of a metric; in the first two the tool has answered."""

    OK = "ok"
    ERROR = "error"
    TIMEOUT = "timeout"
    CANCELLED = "cancelled"
    DIED = "died"
    UNAVAILABLE = "unavailable"


class ToolMetrics(Protocol):
    """Who counts calls."""

    def tool_called(self, tool: str, end: CallEnd, seconds: float) -> None:
        """A call came to an end."""

    def tool_server_is_there(self, server: str, *, there: bool) -> None:
        """A server has said which tools it has, or is gone."""
