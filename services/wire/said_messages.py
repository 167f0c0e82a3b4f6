"""What an answer adds to its conversation: an assistant's message a turn, and behind it the results of its calls.

events of an answer -> messages_of() -> (assistant, tool, …, assistant), as a request has them
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

from services.wire.events import Event, Signature, Thinking, Token, ToolCall, ToolResult
from services.wire.request import CalledTool, Message


@dataclass(slots=True)
class _Turn:
    text: list[str] = field(default_factory=list)
    thinking: list[str] = field(default_factory=list)
    calls: list[ToolCall] = field(default_factory=list)
    seals: list[Signature] = field(default_factory=list)
    results: dict[str, ToolResult] = field(default_factory=dict)

    def take(self, event: Event) -> None:
        match event:
            case Token(content):
                self.text.append(content)
            case Thinking(content):
                self.thinking.append(content)
            case ToolCall():
                self.calls.append(event)
            case Signature():
                self.seals.append(event)
            case ToolResult():
                self.results[event.call_id] = event
            case _:
                pass

    def messages(self) -> Iterable[Message]:
        """Yield the assistant's message, and one for each result, in the order of the calls."""
        if self.text or self.thinking or self.calls or self.seals:
            calls = tuple(CalledTool(one.name, one.arguments, one.call_id, extra=one.extra) for one in self.calls)
            thinking, seals = "".join(self.thinking) or None, tuple(self.seals) or None
            yield Message("assistant", "".join(self.text), thinking, tool_calls=calls or None, extra=seals)
        for call in self.calls:
            if (result := self.results.get(call.call_id)) is not None:
                yield Message("tool", result.content, tool_name=call.name, tool_call_id=call.call_id)


def messages_of(events: Iterable[Event]) -> list[Message]:
    """Return the messages that the events of an answer add, in order: what says nothing adds none.

    A turn ends with the results of its calls, which come in the order in which they were had: the next one begins with
    what follows them.
    """
    messages: list[Message] = []
    turn = _Turn()
    for event in events:
        if turn.results and not isinstance(event, ToolResult):
            messages += turn.messages()
            turn = _Turn()
        turn.take(event)
    return [*messages, *turn.messages()]
