"""What tests of the store begin with: one on a file of its own, and turns as a gateway writes them."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import pytest

from gateway.store.ids import new_message_id
from gateway.store.rows import Answer, NewTurn, Status, StoredMessage
from gateway.store.store import Store
from tests.machine import needs

BOTH: Final = ("sqlite", pytest.param("postgres", marks=needs("postgres")))
"""Databases, for the fixture ``kind``."""
OWNER: Final = "0123456789abcdef0123456789abcdef"
ANOTHER: Final = "fedcba9876543210fedcba9876543210"
KEEPER: Final = "one"
STREAM: Final = "k3fa.ABCDEFGHIJKLMNOPQRSTUVWXYZ"


@asynccontextmanager
async def running(url: str) -> AsyncIterator[Store]:
    """Run a store until the block ends."""
    store = Store(url)
    try:
        await store.start()
        yield store
    finally:
        await store.close()


def file_url(folder: Path) -> str:
    return f"sqlite:///{folder / 'conversations.db'}"


def question(text: str, parent: str | None = None) -> StoredMessage:
    return StoredMessage(new_message_id(), parent, "user", text)


def turn(conversation: str, user: StoredMessage | None, **more: str | None) -> NewTurn:
    """A turn; ``answers``: the question that is asked again."""
    again = more.get("answers")
    assert user is not None or again is not None
    return NewTurn(
        owner=more.get("owner") or OWNER,
        conversation_id=conversation,
        user=user,
        answer_id=new_message_id(),
        answer_parent=user.id if user is not None else again or "",
        stream_id=STREAM,
        leave="continue",
        model="tiny",
        system=more.get("system"),
        keeper=more.get("keeper") or KEEPER,
        asked_as=None,
        asked_at=time.time(),
    )


async def conversation(store: Store, owner: str = OWNER) -> str:
    """Make one; return its id."""
    made = await store.conversations.create(owner, {})
    return str(made["id"])


async def said(store: Store, of: str, text: str, answer: str, parent: str | None = None) -> NewTurn:
    """A whole turn: a question, and its answer."""
    asked = turn(of, question(text, parent))
    await store.answers.begin(asked, None)
    assert await store.answers.save(Answer(asked.answer_id, Status.SENT, content=answer, code="stop"), KEEPER)
    return asked
