"""What the model is told: a system prompt, the last messages, and how to choose its words. Pure."""

import math
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from services.termchat.branch import Branch

KEPT: Final = 20
"""Messages of both sides that the model is told, the newest question included; older ones are forgotten."""
ROLES: Final = ("user", "assistant")
TOKENS_A_WORD: Final = 1.3  # of English, by rule of thumb
SYSTEM: Final = "You are a helpful assistant. Be concise and friendly."
MODEL_NAME_CHARACTERS: Final = 256  # PROTOCOL.md, "Bodies"
SEED_BITS: Final = 63
MOST_TOKENS: Final = (1 << 31) - 1


@dataclass(frozen=True, slots=True)
class Remembered:
    """One turn; ``mark`` says of an answer that is not whole what became of it: stopped, interrupted."""

    role: str
    content: str
    mark: str = ""


class BadValue(ValueError):
    """A parameter cannot be that; the message says what was expected."""


@dataclass
class Parameters:
    """How the model is asked; None leaves it to the model."""

    model: str | None = None
    system: str = SYSTEM
    temperature: float = 0.7
    max_tokens: int = 2048
    top_p: float | None = None
    seed: int | None = None
    tools: bool = False  # the model may use those that run beside it

    def choose(self, name: str, text: str) -> None:
        """Set ``name`` to what ``text`` says; an empty text is its default.

        Raises:
            BadValue: it cannot be that, or there is no such parameter.
        """
        fresh = Parameters()
        match name:
            case "model":
                self.model = checked_model(text) if text else fresh.model
            case "system":
                self.system = text or fresh.system
            case "temperature":
                self.temperature = _between(text, 0, 2) if text else fresh.temperature
            case "top_p":
                self.top_p = _between(text, 0, 1) if text else fresh.top_p
            case "max_tokens":
                self.max_tokens = _whole(text, 1, MOST_TOKENS) if text else fresh.max_tokens
            case "seed":
                self.seed = _whole(text, -(1 << SEED_BITS), (1 << SEED_BITS) - 1) if text else fresh.seed
            case _:
                raise BadValue("expected system, top_p, max_tokens or seed")

    @property
    def options(self) -> dict[str, float]:
        """The request's options (PROTOCOL.md, "Bodies")."""
        chosen = {
            "temperature": self.temperature,
            "num_predict": self.max_tokens,
            "top_p": self.top_p,
            "seed": self.seed,
        }
        return {name: value for name, value in chosen.items() if value is not None}


def checked_model(text: str) -> str:
    """Return the name of a model.

    Raises:
        BadValue: no model can be called so.
    """
    if not text.isprintable() or not 1 <= len(text) <= MODEL_NAME_CHARACTERS:
        raise BadValue(f"expected a name of 1 to {MODEL_NAME_CHARACTERS} printable characters")
    return text


def _between(text: str, least: float, most: float) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not least <= number <= most:  # not a number is not between
        raise BadValue(f"expected a number from {least:g} to {most:g}")
    return number


def _whole(text: str, least: int, most: int) -> int:
    digits = text.removeprefix("-")
    if not (digits.isascii() and digits.isdigit() and len(digits) < 20 and least <= int(text) <= most):
        raise BadValue(f"expected a whole number from {least} to {most}")
    return int(text)


@dataclass
class Conversation:
    """What was said, as far as the model is told of it."""

    parameters: Parameters = field(default_factory=Parameters)
    branch: Branch | None = None  # where it goes on, if the gateway keeps it
    messages: deque[Remembered] = field(default_factory=lambda: deque(maxlen=KEPT))
    last_question: str = ""  # also where it was withdrawn, so that it can be asked again
    is_withdrawn: bool = False  # the last question came to nothing, and is not told

    def ask(self, text: str) -> None:
        """Take in a question."""
        self.last_question, self.is_withdrawn = text, False
        self.messages.append(Remembered("user", text))

    def take_answer(self, text: str, mark: str = "", rows: tuple[str, str] = ("", "")) -> None:
        """Take in the answer; a question that got no word of one is withdrawn, so that no two stand in a row.

        Args:
            rows: the ids of the question and of the answer, where the gateway keeps them.
        """
        if self.branch is not None:
            if all(rows):
                self.branch.went_on(self.last_question, *rows)
            else:
                self.branch.was_refused()
        if text:
            self.messages.append(Remembered("assistant", text, mark))
        else:
            self.messages.pop()
            self.is_withdrawn = True

    def take_back(self) -> str:
        """Forget the last question and what was answered; return the question, "" if there was none."""
        if not self.last_question:  # or one of pictures alone, which cannot be asked from here
            return ""
        while self.messages and not self.is_withdrawn:
            self.is_withdrawn = self.messages.pop().role == "user"
        if self.branch is not None:
            self.branch.take_back()
        return self.last_question

    def clear(self) -> None:
        """Forget all messages; parameters stay."""
        self.messages.clear()
        self.last_question, self.is_withdrawn = "", False

    @property
    def approximate_tokens(self) -> int:
        """About how many tokens the model reads of it, system prompt included."""
        words = sum(len(text.split()) for text in (self.parameters.system, *(one.content for one in self.messages)))
        return round(words * TOKENS_A_WORD)

    def request(self) -> Mapping[str, Any]:
        """Return the body that asks for an answer to the last question."""
        model = {} if self.parameters.model is None else {"model": self.parameters.model}
        tools = {"server_tools": True} if self.parameters.tools else {}
        return {
            **model,
            **tools,
            **self._told(),
            "options": self.parameters.options,
            "on_disconnect": "continue",  # a lost connection is resumed; Ctrl-C cancels by name
        }

    def _told(self) -> Mapping[str, Any]:
        """Return what the model is told: all of it, or what a gateway that keeps the rest does not know."""
        if self.branch is not None:
            return {"system": self.parameters.system, **self.branch.request(self.last_question)}
        told = [Remembered("system", self.parameters.system), *self.messages]
        return {"messages": [{"role": one.role, "content": one.content} for one in told]}
