"""A provider's seals on its way through clients of other languages, who send back what they do not understand. Pure.

A provider refuses a tool loop whose thoughts or calls come back without their signatures (events.Signature), so that
they travel where a language carries what is opaque, and come back as they were. They guard nothing of ours.

    as_data -> (a client) -> of_data     where a language carries JSON
    as_text -> (a client) -> of_text     where it carries text
"""

import base64
import binascii
from typing import Any, Final

import orjson

from services.wire.events import Signature

_OURS: Final = "sluice:"


def as_data(seal: Signature) -> dict[str, Any]:
    """Return a seal as JSON has it."""
    return {"provider": seal.provider, "data": seal.data}


def of_data(value: object) -> Signature | None:
    """Return the seal in what a client sent; None for what is none of ours."""
    if not isinstance(value, dict):
        return None
    provider, data = value.get("provider"), value.get("data")
    return Signature(provider, data) if isinstance(provider, str) and isinstance(data, dict) else None


def as_text(seal: Signature, call_id: str = "") -> str:
    """Return a seal as text, with the call that it seals."""
    return _OURS + base64.b64encode(orjson.dumps({**as_data(seal), "call": call_id})).decode()


def of_text(text: str) -> tuple[Signature, str] | None:
    """Return the seal and its call's id ("" for that of a thought); None for what is none of ours."""
    if not text.startswith(_OURS):
        return None
    try:
        value = orjson.loads(base64.b64decode(text.removeprefix(_OURS), validate=True))
    except (binascii.Error, orjson.JSONDecodeError):
        return None
    seal, call_id = of_data(value), value.get("call") if isinstance(value, dict) else None
    return (seal, call_id) if seal is not None and isinstance(call_id, str) else None
