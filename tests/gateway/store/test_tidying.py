from asyncio import gather
from pathlib import Path

from sqlalchemy import update
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.store.rows import Answer, Status
from gateway.store.schema import conversations
from gateway.store.store import Store
from gateway.store.tidying import BATCH, delete_old, forget
from tests.gateway.store.keeping import KEEPER, OWNER, conversation, file_url, question, running, said, turn


def in_files(folder: Path) -> bytes:
    return b"".join(file.read_bytes() for file in folder.iterdir())


async def grow_old(store: Store) -> None:
    """Let every conversation of now be one of 1970."""

    async def work(connection: AsyncConnection) -> None:
        await connection.execute(update(conversations).values(updated_at=1))

    await store.database.write(work)


async def left(store: Store) -> list[str]:
    return [row["id"] for row in (await store.conversations.page(OWNER, None)).rows]


async def test_what_is_deleted_is_nowhere_in_the_files(store: Store, tmp_path: Path) -> None:
    name = await conversation(store)
    begun = await said(store, name, "where is the canary-4711", "in the gallery-4711")
    assert b"canary" in in_files(tmp_path)

    await store.conversations.delete(OWNER, name)
    await store.tidied()

    assert b"canary" not in in_files(tmp_path)
    assert b"gallery" not in in_files(tmp_path)
    assert begun.answer_id.encode() not in in_files(tmp_path)


async def test_what_is_too_old_goes_in_batches_and_what_is_newer_stays(store: Store) -> None:
    for _ in range(BATCH + 1):
        await conversation(store)
    await grow_old(store)
    young = await conversation(store)

    assert await delete_old(store.database, 1) == BATCH + 1
    assert await left(store) == [young]
    assert await delete_old(store.database, 1) == 0


async def test_an_answer_that_streams_keeps_its_conversation_until_it_is_over(store: Store) -> None:
    name = await conversation(store)
    begun = turn(name, question("hi"))
    await store.answers.begin(begun)
    await grow_old(store)

    assert await delete_old(store.database, 1) == 0
    assert await store.answers.save(Answer(begun.answer_id, Status.SENT), KEEPER)
    assert await delete_old(store.database, 1) == 1


async def test_the_days_count_from_the_last_message(store: Store) -> None:
    name = await conversation(store)
    await grow_old(store)
    await said(store, name, "still here", "yes")

    assert await delete_old(store.database, 365) == 0
    await forget(store.database)
    assert await left(store) == [name]


async def test_two_who_forget_at_once_wait_for_each_other(store: Store, tmp_path: Path) -> None:
    async with running(file_url(tmp_path)) as another:
        both = (store.database, another.database)
        for _ in range(20):
            await gather(*(database.empty_log() for database in both for _ in range(2)))
