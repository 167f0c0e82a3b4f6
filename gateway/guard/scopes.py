"""What a key may be used for. Pure."""

from enum import StrEnum
from typing import Final, Literal


class Scope(StrEnum):
    """One thing that a key may be used for; a route demands one of them, any key, or none at all."""

    CHAT = "chat"
    """Every route that generates; and to follow, look at and cancel one's own streams."""
    MODELS = "models"
    """Lists of models, what a model can do, what is loaded, the version."""
    STREAMS = "streams"
    """The list of one's own live streams."""
    CONVERSATIONS = "conversations"
    """Conversations that are kept: one's own."""
    TOOLS = "tools"
    """To have tools of the server run in an answer, and to approve their calls."""
    ADMIN = "admin"
    """What all principals used."""


ANY_KEY: Final = "any key"
"""Demanded of a route that tells somebody of their own doings: every key opens it."""
Demand = Scope | Literal["any key"] | None
"""What a route demands of a key; None: not even that there is one."""
