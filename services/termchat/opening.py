"""Opens a conversation that the gateway keeps: one by its name, the last one, or a new one."""

from typing import Any, Final
from urllib.parse import quote

from services.termchat.answer_events import AnswerFailed, object_of, objects_in, refusal
from services.termchat.conversation import Conversation, Parameters
from services.termchat.following import UNREACHABLE, why_unreached
from services.termchat.gateway import Gateway, HttpResponse, TransportError
from services.termchat.kept import LAST, NEW, PLACE, opened

_OK: Final = (200, 201)


async def open_kept(gateway: Gateway, which: str, parameters: Parameters) -> Conversation | AnswerFailed:
    """Return the conversation, or why there is none; the last of nothing is a new one."""
    try:
        if which == LAST:
            listed = await gateway.get(PLACE)
            if listed.status not in _OK:
                return _refused(listed)
            rows = objects_in(object_of(listed.body), "conversations")
            which = str(rows[0].get("id")) if rows else NEW
        if which == NEW:
            return _one(await gateway.post(PLACE, b"{}"), [], parameters)
        place = f"{PLACE}/{quote(which, safe='')}"
        found = await gateway.get(place)
        messages = await gateway.get(f"{place}/messages") if found.status in _OK else found
    except TransportError as failed:
        return AnswerFailed(UNREACHABLE, why_unreached(failed.how), retryable=True)
    if messages.status not in _OK:
        return _refused(messages)
    return _one(found, objects_in(object_of(messages.body), "messages"), parameters)


def _one(answer: HttpResponse, messages: list[dict[str, Any]], parameters: Parameters) -> Conversation | AnswerFailed:
    if answer.status not in _OK:
        return _refused(answer)
    return opened(object_of(answer.body), messages, parameters)


def _refused(answer: HttpResponse) -> AnswerFailed:
    return refusal(answer.status, answer.body, answer.headers.get("retry-after", ""))
