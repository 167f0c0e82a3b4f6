"""What a person's line means: a message to the model, or a command to this program. Pure.

/name argument      a command            //text   a message that begins with a slash
exit, quit          leave                \"\"\"      begins and ends a message of several lines
"""

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Say:
    """Ask the model this."""

    text: str


@dataclass(frozen=True, slots=True)
class Command:
    """Do this; ``argument`` is the rest of the line without blanks at its ends."""

    name: str
    argument: str


@dataclass(frozen=True, slots=True)
class Quit:
    """End the program."""


@dataclass(frozen=True, slots=True)
class Nothing:
    """An empty line."""


@dataclass(frozen=True, slots=True)
class Unknown:
    """No such command; ``nearest`` may have been meant, or is empty."""

    name: str
    nearest: str


Meaning = Say | Command | Quit | Nothing | Unknown

HELP: Final[Mapping[str, tuple[str, str]]] = {
    "help": ("", "show this"),
    "stream": ("[on|off]", "show words as they come, or the whole answer at once"),
    "temp": ("[0..2]", "how freely the model chooses its words"),
    "model": ("[name]", "show or choose the model"),
    "models": ("", "list the models"),
    "tools": ("[on|off]", "let the model use the tools that run beside it, or not; list them"),
    "history": ("[n]", "show what the model is told, or its last n messages"),
    "clear": ("", "forget the conversation, or begin another where the gateway keeps it; the system prompt stays"),
    "set": ("system|top_p|max_tokens|seed [value]", "show or choose a parameter; without a value: its default"),
    "retry": ("", "ask the last question again"),
    "edit": ("", "change the last question and ask it again"),
    "save": ("file", "write the conversation to a file"),
    "load": ("file", "go on with one that was saved"),
    "stats": ("", "where the time of the last answer went"),
    "exit": ("", "leave; so do quit and Ctrl-D"),
}
"""Each command with its argument and what it does."""
_LEAVING: Final = ("exit", "quit")
_FENCE: Final = '"""'


def meaning_of(line: str) -> Meaning:
    """Return what ``line`` means; a message may be of several lines."""
    text = line.strip()
    if not text:
        return Nothing()
    if text.startswith(_FENCE):
        inner = text.removeprefix(_FENCE).removesuffix(_FENCE).strip("\n")
        return Say(inner) if inner.strip() else Nothing()
    if text in _LEAVING:
        return Quit()
    if text.startswith("//"):
        return Say(text[1:])
    if not text.startswith("/"):
        return Say(text)
    name, _, argument = text[1:].partition(" ")
    name = name.lower()
    if name in _LEAVING:
        return Quit()
    if name in HELP:
        return Command(name, argument.strip())
    nearest = difflib.get_close_matches(name, [*HELP, "quit"], n=1)
    return Unknown(name, nearest[0] if nearest else "")


def line_of(message: str) -> str:
    """Return what a person types to say this: as it is, with a second slash, or in quotes."""
    if meaning_of(message) == Say(message):
        return message
    doubled = f"/{message}"
    return doubled if meaning_of(doubled) == Say(message) else f"{_FENCE}{message}{_FENCE}"


def is_open(text: str) -> bool:
    """Whether a message of several lines was begun and not ended: then Enter begins another line."""
    inner = text.strip()
    return inner.startswith(_FENCE) and not (len(inner) >= 2 * len(_FENCE) and inner.endswith(_FENCE))
