"""What a gateway says of itself and of its client's page: its version, and the page's name for a chat. Pure."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

HOP: Final = "Sluice-Hop"
HOP_VERSION: Final = "1"
"""Raised when a gateway and a proxy of the version before it would misunderstand each other; new fields do not.
docs/upgrading.md says which may meet."""
ASKED_AS: Final = "Sluice-Asked"
"""What tells a client's own request from another, in 64 hexadecimal digits: its gateway has put a history before it,
which is another one when it is asked again."""
SAID_MAX: Final = 16
"""Versions that are told once: more are no gateways of ours."""
_CHAT: Final = "Sluice-Chat"
_MESSAGE: Final = "Sluice-Message"
_CHAT_FORM: Final = re.compile(r"[A-Za-z0-9_-]{16,128}")
_MESSAGE_FORM: Final = re.compile(r"[\x21-\x7e]{0,256}")


@dataclass(frozen=True, slots=True)
class Chat:
    """A page's own name for a conversation, by which it comes back to the newest answer of it.

    Attributes:
        name: hard to guess, for where nobody has a key it is one.
        message: the page's id of the message that the answer goes on with; "" where it begins one.

    Raises:
        ValueError: they have not the form that a header takes, or the name is short.
    """

    name: str
    message: str = ""

    def __post_init__(self) -> None:
        """Refuse what no header takes."""
        if not _CHAT_FORM.fullmatch(self.name) or not _MESSAGE_FORM.fullmatch(self.message):
            raise ValueError("no name of a chat")

    @classmethod
    def of(cls, headers: Mapping[str, str]) -> "Chat | None":
        """Return the chat that the headers of a hop name; None where they name none."""
        name = headers.get(_CHAT)
        return None if name is None else cls(name, headers.get(_MESSAGE, ""))

    @property
    def headers(self) -> dict[str, str]:
        """The headers of a hop that name it."""
        return {_CHAT: self.name, **({_MESSAGE: self.message} if self.message else {})}


class OtherVersions:
    """The versions that were said and are not ours, each to be told once in a process's life."""

    def __init__(self) -> None:
        self._told: set[str] = set()

    def news(self, said: str) -> str | None:
        """Return what there is to tell of a gateway that says ``said`` ("" for nothing), or None.

        A version is a number of at most four digits; what is none is told as "unreadable", nothing as "none".
        """
        if said == HOP_VERSION or len(self._told) == SAID_MAX:
            return None
        version = said if said.isascii() and said.isdigit() and len(said) <= 4 else "unreadable" if said else "none"
        if version in self._told:
            return None
        self._told.add(version)
        return version
