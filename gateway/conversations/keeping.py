"""The conversations of this gateway's people: read before a model is asked, and kept while it answers."""

import asyncio
import contextlib
import hashlib
import secrets
import time
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import replace
from typing import Any, Final, Protocol

import structlog

from gateway.conversations.history import MOST_ROWS
from gateway.conversations.kept_answer import Kept, KeptAnswer, KeptStream
from gateway.conversations.pending import PendingWrites
from gateway.conversations.turn import PreparedTurn, prepared
from gateway.conversations.writer import AnswerRows, Loss, Writer
from gateway.relay.connection import ClientConnection
from gateway.relay.proxies import Proxies
from gateway.store.ids import is_conversation_id, message_id_of, new_message_id
from gateway.store.refusals import StoreUnavailable
from gateway.store.rows import ANONYMOUS, Answer, AnswerRow, NewTurn, Orphan, Status, StoredPath
from services.runtime.tasks import Tasks
from services.wire import body_writer
from services.wire.request import Asked, ChatRequest, ModelRequest, NextTurn

log = structlog.get_logger()

RENEW_S: Final = 3.0
SWEEP_S: Final = 5.0
CLOSE_S: Final = 2.0
"""How long rows may take to be written when a gateway stops; another one takes over what is left."""
FOLLOWED_S: Final = 1.0
"""Most that `start` waits for what is in the row of another gateway's answer: it goes without."""


class Rows(AnswerRows, Protocol):
    """What is asked of the database."""

    async def path(self, owner: str, conversation_id: str, leaf: str | None, most: int) -> StoredPath:
        """Return the newest messages of the path to ``leaf``, or to the current one."""
        ...

    async def of_stream(self, owner: str, stream_id: str) -> AnswerRow | None:
        """Return which row the answer of a stream has as long as it streams."""
        ...

    async def renew(self, keeper: str, message_ids: Collection[str]) -> None:
        """Let the leases of these live on."""
        ...

    async def release(self, keeper: str) -> None:
        """Let others take over at once."""
        ...

    async def sweep(self, keeper: str) -> tuple[Orphan, ...]:
        """Take over what nobody keeps any more."""
        ...


class Keeping:
    """Prepares turns, and keeps answers.

    Args:
        lost: called for each row that is not written, with why.
        most_characters: of the history that goes with a message.
    """

    def __init__(self, rows: Rows, proxies: Proxies, lost: Callable[[Loss], None], *, most_characters: int) -> None:
        self._rows = rows
        self._proxies = proxies
        self._most_characters = most_characters
        self._keeper = secrets.token_hex(16)
        self._pending = PendingWrites()
        self._writer = Writer(rows, self._pending, self._keeper, lost, self._gone)
        self._kept: dict[str, KeptAnswer] = {}  # by the answer's id
        self._of_stream: dict[str, KeptAnswer] = {}
        self._tasks = Tasks()
        self._answers = Tasks()

    def pending_bytes(self) -> int:
        """Return how many bytes wait for the database."""
        return self._pending.bytes

    def start(self) -> None:
        """Begin to write, to renew leases, and to look for answers that nobody keeps."""
        self._tasks.spawn(self._writer.run(), "conversations written")
        self._tasks.spawn(_every(RENEW_S, self._renew), "leases")
        self._tasks.spawn(_every(SWEEP_S, self._sweep), "sweep")

    async def close(self) -> None:
        """Save what there is of the answers that go on, and leave them to others."""
        kept = tuple(self._kept.values())
        await self._answers.close()
        await self._tasks.close()
        await asyncio.gather(*(one.save_now() for one in kept))
        await self._writer.finish(CLOSE_S)
        try:
            await self._rows.release(self._keeper)
        except StoreUnavailable as away:
            log.warning("conversations.not_released", why=away.why)

    # --- a turn

    async def prepare(self, owner: str, asked: Asked[ModelRequest], key: str | None) -> PreparedTurn | None:
        """Read what was said before; None for what is no turn of a conversation that is kept.

        Args:
            owner: "" where nobody is known.
            key: by which the request may be repeated.

        Raises:
            ApiError, BadBody: there is no such conversation, it cannot be read in time, or it does not go on so.
        """
        turn, request = asked.wishes.turn, asked.request
        if turn is None or not is_conversation_id(turn.conversation_id) or not isinstance(request, ChatRequest):
            return None  # a client's own label
        owner = owner or ANONYMOUS
        unwritten, above = self._pending.unwritten(owner, turn.conversation_id, turn.parent)
        path = self._pending.over(await self._rows.path(owner, turn.conversation_id, above, MOST_ROWS))
        return prepared(
            owner,
            turn,
            replace(path, messages=(*path.messages, *unwritten)),
            request,
            user_id=new_message_id(),
            most_characters=self._most_characters,
            asked_as=None if key is None else asked_as(key, asked, turn),
        )

    def keep(self, turn: PreparedTurn, connection: ClientConnection, stream_id: str) -> Kept:
        """Keep the answer that a connection has begun, or joined by repeating its request, to its end.

        Who began it may be at another gateway, or have left before it was kept. However many keep it, its rows are the
        same, by their names.
        """
        answer = Answer(message_id_of(turn.owner, stream_id, "answer"), Status.STREAMING)
        user, parent = turn.user, turn.answer_parent
        if user is not None:
            parent = message_id_of(turn.owner, stream_id, "question")
            user = replace(user, id=parent)
        told: dict[str, Any] = {"message_id": answer.id, "parent": parent}
        if user is None or user.parent != answer.id:  # else it is over, and itself in what was read
            told["history"] = turn.history.told
        if (kept := self.of_stream(stream_id)) is not None:
            return Kept(told, kept)
        stream = KeptStream(stream_id, connection.principal.owner, connection.leave)
        self._writer.begin(
            NewTurn(
                owner=turn.owner,
                conversation_id=turn.conversation_id,
                user=user,
                answer_id=answer.id,
                answer_parent=parent,
                stream_id=stream.id,
                leave=stream.leave,
                model=connection.model,
                system=turn.system,
                keeper=self._keeper,
                asked_as=turn.asked_as,
                asked_at=time.time(),
            )
        )
        return Kept(told, self._keep(answer, stream, is_read=True, told=told), is_its_reader=True)

    def of_stream(self, stream_id: str) -> KeptAnswer | None:
        """Return the answer that is kept here of a stream, if one is."""
        return self._of_stream.get(stream_id)

    async def followed(self, owner: str, stream_id: str, position: int) -> Kept:
        """Return what is told of the answer of a stream that is followed, if it is kept; `start` is number 1."""
        kept = self.of_stream(stream_id)
        told = {} if kept is None else kept.told
        if position == 0 and not told:
            with contextlib.suppress(StoreUnavailable, TimeoutError):
                async with asyncio.timeout(FOLLOWED_S):
                    row = await self._rows.of_stream(owner or ANONYMOUS, stream_id)
                told = {} if row is None else {"message_id": row.id, "parent": row.parent}
        return Kept(told, kept)

    # --- what nobody may forget

    def _keep(
        self, answer: Answer, stream: KeptStream, *, is_read: bool, told: Mapping[str, Any] | None = None
    ) -> KeptAnswer:
        kept = KeptAnswer(answer, stream, self._proxies, self._writer, is_read=is_read, told=told or {})
        self._kept[kept.id] = self._of_stream[kept.stream_id] = kept
        self._answers.spawn(kept.keep(), "answer kept").add_done_callback(lambda _task: self._forget(kept))
        return kept

    def _forget(self, kept: KeptAnswer) -> None:
        self._kept.pop(kept.id, None)
        self._of_stream.pop(kept.stream_id, None)

    def _gone(self, answer_id: str) -> None:
        """Its conversation was deleted in the moment in which it began: who deleted it could not know its stream."""
        if (kept := self._kept.get(answer_id)) is not None:
            self._tasks.spawn(kept.stop(), "answer stopped")

    async def _renew(self) -> None:
        if self._kept:
            await self._rows.renew(self._keeper, tuple(self._kept))

    async def _sweep(self) -> None:
        while orphans := await self._rows.sweep(self._keeper):  # as many as there are: each look takes some
            for orphan in orphans:
                self._take_over(orphan)

    def _take_over(self, orphan: Orphan) -> None:
        if orphan.message_id not in self._kept:
            log.info("conversation.taken_over", stream_id=orphan.stream_id)
            known = Answer(orphan.message_id, Status.STREAMING, orphan.content, orphan.thinking)
            owner = "" if orphan.owner == ANONYMOUS else orphan.owner
            self._keep(known, KeptStream(orphan.stream_id, owner, orphan.leave), is_read=False)


def asked_as(key: str, asked: Asked[ModelRequest], turn: NextTurn) -> str:
    """Return what tells a client's own request from another, before a history is put before it."""
    told = (key, turn.conversation_id, "newest" if turn.parent is None else turn.parent)
    return hashlib.sha256(body_writer.fingerprint(asked) + "\n".join(told).encode()).hexdigest()


async def _every(seconds: float, work: Callable[[], Awaitable[None]]) -> None:
    while True:
        await asyncio.sleep(seconds)
        try:
            await work()
        except StoreUnavailable:
            continue  # whoever writes tells of it
        except Exception as exc:
            log.exception("conversations.broken", error_type=type(exc).__name__)
