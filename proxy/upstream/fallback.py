"""Why a server was not the one that answered: a closed list of words, for metrics and for who asks. Pure."""

from collections.abc import Mapping
from typing import Final

CODES: Final = (
    "refused",
    "dns",
    "tls",
    "first_token",
    "401",
    "403",
    "404",
    "429",
    "quota",
    "5xx",
    "eof",
    "malformed",
    "error",
    "line_full",
    "queue_wait",
    "cold",
    "open",
    "marked",
    "hung",
)
_OTHER_NAMES: Final[Mapping[str, str]] = {
    "connect_timeout": "refused",
    "untrusted": "tls",
    "reset": "eof",
    "stale": "eof",
    "408": "5xx",
    "409": "5xx",
    "402": "quota",
    "498": "429",
    "wedged": "hung",
}


def code_of(why: str) -> str:
    """Return the word of :data:`CODES` for why an attempt failed."""
    if why in CODES:
        return why
    if len(why) == 3 and why.startswith("5"):
        return "5xx"
    return _OTHER_NAMES.get(why, "error")
