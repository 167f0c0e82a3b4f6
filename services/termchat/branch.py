"""Where one is in a conversation that the gateway keeps: what the next question follows. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass
class Branch:
    """Where the next question goes.

    Attributes:
        leaf: the message that it follows; "" is nothing.
        question: the last question's id, "" where the gateway has none of it.
        above: what that one follows.
        text: what that one says.
    """

    conversation_id: str
    leaf: str = ""
    question: str = ""
    above: str = ""
    text: str = ""
    is_taken_back: bool = False

    def request(self, text: str) -> Mapping[str, Any]:
        """Return what asks this here; the last question in its old words gets another answer, and stays one."""
        if self.is_taken_back and text == self.text:
            return {"conversation_id": self.conversation_id, "parent": self.question}
        return {"conversation_id": self.conversation_id, "message": text, "parent": self.leaf}

    def went_on(self, text: str, question: str, answer: str) -> None:
        """Note the messages that the gateway began for a question and its answer."""
        if not self.is_taken_back:
            self.above = self.leaf
        self.leaf, self.question, self.text, self.is_taken_back = answer, question, text, False

    def was_refused(self) -> None:
        """Note that the gateway took in nothing; one that was asked again, or changed, is still there as it was."""
        if not self.is_taken_back:
            self.question = ""

    def take_back(self) -> None:
        """Go back to before the last question."""
        if self.question:
            self.leaf, self.is_taken_back = self.above, True
