"""Names of conversations and messages: ``cv_`` or ``ms_``, and 128 random bits in base32. Nobody guesses another's."""

import base64
import hashlib
import re
import secrets
from typing import Final

CONVERSATION: Final = "cv_"
MESSAGE: Final = "ms_"
_BYTES: Final = 16
_CONVERSATION_ID: Final = re.compile(rf"{CONVERSATION}[A-Z2-7]{{26}}")
_MESSAGE_ID: Final = re.compile(rf"{MESSAGE}[A-Z2-7]{{26}}")


def new_conversation_id() -> str:
    """Return the name of a new conversation."""
    return _named(CONVERSATION, secrets.token_bytes(_BYTES))


def new_message_id() -> str:
    """Return the name of a new message."""
    return _named(MESSAGE, secrets.token_bytes(_BYTES))


def message_id_of(owner: str, stream_id: str, role: str) -> str:
    """Return the name of the message that a stream adds to a conversation of ``owner``: the same at every gateway."""
    return adopted(MESSAGE, owner, f"{role} of {stream_id}")


def is_conversation_id(text: str) -> bool:
    """Whether ``text`` has the form of a conversation's name: any other is a client's own label."""
    return _CONVERSATION_ID.fullmatch(text) is not None


def is_message_id(text: str) -> bool:
    """Whether ``text`` has the form of a message's name."""
    return _MESSAGE_ID.fullmatch(text) is not None


def adopted(prefix: str, owner: str, name: str) -> str:
    """Return the id under which ``owner`` brings in what a file calls ``name``: the same each time, nobody else's."""
    digest = hashlib.blake2s(f"{owner}\n{prefix}\n{name}".encode("utf-8", "surrogatepass"), digest_size=_BYTES)
    return _named(prefix, digest.digest())


def _named(prefix: str, secret: bytes) -> str:
    return prefix + base64.b32encode(secret).decode().rstrip("=")
