"""What is read of a conversation in any foreign language: its blocks, calls and their results, pictures. Pure."""

import re
from collections.abc import Iterable
from typing import Any, Final

import orjson

from services.wire.bodies import SignatureBody, signature_of
from services.wire.events import ARGUMENTS_DEPTH, Signature
from services.wire.json_text import is_deeper_than, loads
from services.wire.pictures import is_picture
from services.wire.request import BadBody
from services.wire.validation import Part

_DATA_URL: Final = re.compile(r"data:[^,]{0,256};base64,", re.IGNORECASE)
_NO_PICTURE: Final = "must be a data: URL with the base64 of a PNG, JPEG, WebP or GIF image; nothing is fetched"


class CalledTools:
    """The calls of a conversation so far: a result says which one it answers, and a model needs the tool's name."""

    def __init__(self) -> None:
        self._names: dict[str, str] = {}

    def add(self, call_id: str, name: str) -> None:
        """Note a call."""
        self._names[call_id] = name

    def name_of(self, call_id: str, where: str) -> str:
        """Return the tool that was called under an id.

        Args:
            where: the field that names the call.

        Raises:
            BadBody: there was no such call.
        """
        if call_id not in self._names:
            raise BadBody(f"{where} must be the id of a call in an earlier message")
        return self._names[call_id]


class ExtraContent(Part):
    """What a call of ours brought along, and brings back."""

    sluice: SignatureBody | None = None


def seal_of(extra: ExtraContent | None) -> Signature | None:
    """Return what the provider of a call wants to have back."""
    return None if extra is None or extra.sluice is None else signature_of(extra.sluice)


def joined(texts: Iterable[str]) -> str:
    """Return blocks of text as one text: each is a paragraph of its own to whoever wrote them."""
    return "\n".join(text for text in texts if text)


def arguments_of(text: str, where: str) -> dict[str, Any]:
    """Return the arguments of a call, which these languages write as text; empty text is none.

    Raises:
        BadBody: it is not the JSON of an object, or nested deeper than ARGUMENTS_DEPTH.
    """
    if not text.strip():
        return {}
    try:
        arguments = loads(text)
    except orjson.JSONDecodeError:
        arguments = None
    if not isinstance(arguments, dict):
        raise BadBody(f"{where} must be the JSON of an object")
    if is_deeper_than(ARGUMENTS_DEPTH, arguments):  # a body's own depth does not hold what is text in it
        raise BadBody(f"{where} must be nested at most {ARGUMENTS_DEPTH} levels deep")
    return arguments


def picture(url: str, where: str) -> str:
    """Return the base64 of a picture in a ``data:`` URL.

    Raises:
        BadBody: it is an address, or no picture that we take.
    """
    head = _DATA_URL.match(url)
    if head is None or not is_picture(data := url[head.end() :]):
        raise BadBody(f"{where} {_NO_PICTURE}")
    return data
