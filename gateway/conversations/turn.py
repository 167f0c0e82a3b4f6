"""A turn of a conversation that is kept: what the model is sent, and the rows that it will have. Pure."""

from dataclasses import dataclass, replace

from gateway.conversations.history import History, characters_of, messages_of, newest_that_fit
from gateway.store.refusals import Conflict
from gateway.store.rows import Status, StoredMessage, StoredPath
from services.wire.request import BadBody, ChatRequest, Message, NextTurn

_STREAMS = "The newest answer of this conversation is still being written. Wait for its end, stop it, or name a parent."


@dataclass(frozen=True, slots=True)
class PreparedTurn:
    """What is known of a turn before the model is asked.

    Attributes:
        user: the question's row; None where an older one is answered anew.
        answer_parent: the row that is answered.
        system: as the request said it, which is kept.
        asked_as: what tells the client's own request from another, where it may be repeated.
        request: with the history.
    """

    owner: str
    conversation_id: str
    user: StoredMessage | None
    answer_parent: str
    system: str | None
    asked_as: str | None
    request: ChatRequest
    history: History


def prepared(
    owner: str,
    turn: NextTurn,
    path: StoredPath,
    request: ChatRequest,
    *,
    user_id: str,
    most_characters: int,
    asked_as: str | None,
) -> PreparedTurn:
    """Return the turn that follows ``path``.

    Args:
        user_id: the name of the question's row, should there be one.
        asked_as: what tells the request from another, where it has a name of its own to be repeated by.

    Raises:
        Conflict: the newest answer still streams, and it is not this request's own.
        BadBody: what is to be answered anew is no question.
    """
    rows = _before(turn, path.messages, asked_as)
    if turn.is_anew:
        if not rows or rows[-1].role != "user":
            raise BadBody("parent must be a user's message where no message is sent")
        question, rows = rows[-1], rows[:-1]
        user, answer_parent = None, question.id
        said = Message("user", question.content, images=question.images or None)
    else:
        parent = rows[-1].id if rows else None
        user = StoredMessage(user_id, parent, "user", turn.message or "", turn.images or ())
        answer_parent = user_id
        said = Message("user", turn.message, images=turn.images)
    history = newest_that_fit(
        messages_of(rows), most_characters - characters_of(said), images_taken=len(said.images or ())
    )
    system = path.system if turn.system is None else turn.system
    instructed = (Message("system", system),) if system else ()
    request = replace(request, messages=(*instructed, *history.messages, said))
    return PreparedTurn(owner, turn.conversation_id, user, answer_parent, turn.system, asked_as, request, history)


def _before(turn: NextTurn, rows: tuple[StoredMessage, ...], asked_as: str | None) -> tuple[StoredMessage, ...]:
    """Return what was there before the turn; before its own rows, where it is asked again.

    Raises:
        Conflict: the newest answer still streams.
    """
    newest = rows[-1] if rows else None
    if newest is None or newest.status is not Status.STREAMING or turn.parent is not None:
        return rows
    if asked_as is None or newest.asked_as != asked_as:
        raise Conflict(_STREAMS)
    return rows[:-2]
