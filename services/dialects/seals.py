"""A provider's seals on its way through clients of other languages, who send back what they do not understand. Pure.

A provider refuses a tool loop whose thoughts or calls come back without their signatures (events.Signature), so that
they travel where a language carries what is opaque, and come back as they were. They guard nothing of ours.

    as_data -> (a client) -> of_data     where a language carries JSON
    as_text -> (a client) -> of_text     where it carries text
"""

import base64
from typing import Any, Final

import orjson

from services.wire.bodies import SignatureBody, signature_of
from services.wire.events import Signature
from services.wire.json_text import is_deeper_than
from services.wire.request import BadBody
from services.wire.validation import validated

_OURS: Final = "sluice:"
_MAX_DEPTH: Final = 128
"""Levels of a seal that comes as text: a body's own depth does not hold it, and it has to fit the hop's."""


def as_data(seal: Signature) -> dict[str, Any]:
    """Return a seal as JSON has it."""
    return {"provider": seal.provider, "data": seal.data}


def of_data(value: object) -> Signature | None:
    """Return the seal in what a client sent; None for what is none of ours."""
    if not isinstance(value, dict):
        return None
    try:
        return signature_of(validated(SignatureBody, value, extra="ignore"))
    except BadBody:
        return None


def as_text(seal: Signature, call_id: str = "") -> str:
    """Return a seal as text, with the call that it seals."""
    return _OURS + base64.b64encode(orjson.dumps({**as_data(seal), "call": call_id})).decode()


def of_text(text: str) -> tuple[Signature, str] | None:
    """Return the seal and its call's id ("" for that of a thought); None for what is none of ours."""
    if not text.startswith(_OURS):
        return None
    try:
        value = orjson.loads(base64.b64decode(text.removeprefix(_OURS), validate=True))
    except ValueError:  # no base64, or no JSON
        return None
    if not isinstance(value, dict) or is_deeper_than(_MAX_DEPTH, value):
        return None
    seal, call_id = of_data(value), value.get("call")
    return (seal, call_id) if seal is not None and isinstance(call_id, str) else None
