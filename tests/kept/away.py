"""The database is locked, slow, read-only, full or away while answers come: what readers notice, and what is kept."""

import asyncio
import contextlib
import subprocess
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any, Final

from tests.behaviour.kept import new_conversation, rows_of
from tests.behaviour.script import Scripted, scripted
from tests.chain import running_chain
from tests.databases import Database, SqliteFile
from tests.eventually import soon_told
from tests.kept.slow_cable import SlowCable
from tests.postgres import PostgresServer
from tests.reader import Client, Reading

LATENCY_S: Final = 5.0
RATE: Final = 50
AFTERWARDS_S: Final = 30.0
Fault = Callable[[], AbstractAsyncContextManager[None]]


async def run(database: Database) -> int:
    """Break ``database`` in every way that this machine can, and print what came of it."""
    wrong = 0
    async with broken_ways(database) as (url, faults):
        with running_chain(simulator={"SCRIPT": "rate=0", "NUM_PARALLEL": "64"}, gateway={"DATABASE": url}) as chain:
            async with Client(chain.gateway.url) as client:
                for name, fault in faults:
                    lines, kept = await tried(client, fault)
                    wrong += not kept
                    print(f"{database.url.partition(':')[0]}, {name}", *lines, sep="\n  ", flush=True)
    return int(wrong > 0)


async def tried(client: Client, fault: Fault) -> tuple[list[str], bool]:
    """Let an answer run into the fault; ask more meanwhile; look what was stored afterwards."""
    conversation = await soon_told(lambda: made(client), "a conversation can be made", within_s=AFTERWARDS_S)
    models = [scripted(tokens=100, rate=RATE) for _ in range(2)]
    body = {"model": models[0].name, "conversation_id": conversation, "message": "one"}
    async with client.open("POST", "/api/chat/stream", body) as reading:
        await reading.until_tokens(10)
        async with fault():
            gap_s, end_s = await gaps(reading)
            end = reading.answer.end or {}
            during = await next_message(client, conversation, models[1])
            whole = await ask(client, {"model": scripted().name, "messages": [{"role": "user", "content": "hi"}]})
        healed = time.monotonic()
    expected = [model.text for model in models[: 1 + during.startswith("200")]]
    rows = await soon_told(
        lambda: rows_at_rest(client, conversation, 2 * len(expected)), "all is stored", within_s=AFTERWARDS_S
    )
    texts = [row["content"] for row in rows if row["role"] == "assistant"]
    kept = texts == expected and reading.answer.text == models[0].text
    running = f"longest gap {gap_s * 1000:.0f} ms at {1000 / RATE:.0f} ms a token"
    ended = f"end {end_s * 1000:.0f} ms after the last token, stored {end.get('stored')}"
    back_s, judged = time.monotonic() - healed, "each as it was" if kept else "WRONG"
    return [
        f"the running answer: {running}, {ended}",
        f"the next message meanwhile: {during}",
        f"a request with messages meanwhile: {whole}",
        f"stored {back_s:.1f} s after it was back: {len(texts)} answers, {judged}",
    ], kept


async def rows_at_rest(client: Client, conversation: str, count: int) -> list[dict[str, Any]] | None:
    """Return the rows, if they can be read, are as many, and none streams."""
    with contextlib.suppress(AssertionError):
        rows = await rows_of(client, conversation)
        return None if len(rows) < count or any(row["status"] == "streaming" for row in rows) else rows
    return None


async def made(client: Client) -> str | None:
    """Return a new conversation, if there can be one."""
    with contextlib.suppress(AssertionError):
        return await new_conversation(client)
    return None


async def gaps(reading: Reading) -> tuple[float, float]:
    """Read to the end; return the longest wait between two reads with text, and that for the end."""
    last, longest_s = time.monotonic(), 0.0
    while reading.answer.end is None:
        count, size = len(reading.answer.text), len(reading.answer.wire)
        assert len(await reading.some()) > size, "the answer ended without a word"
        if len(reading.answer.text) > count:
            longest_s, last = max(longest_s, time.monotonic() - last), time.monotonic()
    return longest_s, time.monotonic() - last


async def next_message(client: Client, conversation: str, model: Scripted) -> str:
    return await ask(client, {"model": model.name, "conversation_id": conversation, "message": "two"})


async def ask(client: Client, body: dict[str, object]) -> str:
    """Return how a request was answered, and how soon."""
    asked = time.monotonic()
    async with client.open("POST", "/api/chat/stream", body) as reading:
        answer = await reading.until_tokens(1)
        first_s = time.monotonic() - asked
        answer = await reading.until_end()
    if answer.status != 200:
        return f"{answer.status} {answer.error['code']} after {first_s:.2f} s"
    stored = f", stored {answer.end['stored']}" if answer.end and "stored" in answer.end else ""
    return f"200, first token after {first_s * 1000:.0f} ms{stored}"


# --- the faults


@asynccontextmanager
async def broken_ways(database: Database) -> AsyncIterator[tuple[str, Sequence[tuple[str, Fault]]]]:
    """Give the url for the gateway, and what can be done to what is behind it."""
    if isinstance(database, PostgresServer):
        async with SlowCable(database.port) as cable:
            url = database.url.replace(f":{database.port}/", f":{cable.port}/")
            with small_disk(database.folder / "tables") as disk:
                database.put_tables_into(disk)
                yield (
                    url,
                    (
                        (f"{LATENCY_S:.0f} s latency", lambda: slow(cable)),
                        ("read-only", lambda: refusing(database)),
                        ("disk full", lambda: without_room(database, disk)),
                        ("stopped", lambda: stopped(database)),
                    ),
                )
    elif isinstance(database, SqliteFile):
        with small_disk(database.path.parent) as disk:
            yield (
                database.url,
                (
                    ("locked by another writer for 7 s", lambda: refusing(database, 7.0)),
                    ("disk full", lambda: full(disk)),
                    ("read-only", lambda: immutable(database.path)),
                ),
            )


@contextlib.contextmanager
def small_disk(folder: Path) -> Iterator[Path]:
    """Let a file system of 16 MiB be at ``folder``: for root, and where it may mount one."""
    folder.mkdir(exist_ok=True)
    image = folder.with_name(f"{folder.name}.img")
    with image.open("wb") as file:
        file.truncate(16 << 20)
    subprocess.run(["mkfs.ext4", "-q", "-m", "0", image], check=True)
    subprocess.run(["mount", "-o", "loop", image, folder], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)
        image.unlink()


@asynccontextmanager
async def slow(cable: SlowCable) -> AsyncIterator[None]:
    cable.latency_s = LATENCY_S
    yield
    cable.latency_s = 0.0


@asynccontextmanager
async def stopped(database: PostgresServer) -> AsyncIterator[None]:
    await asyncio.to_thread(database.stop)
    yield
    await asyncio.to_thread(database.start)


@asynccontextmanager
async def refusing(database: Database, at_least_s: float = 0.0) -> AsyncIterator[None]:
    until = time.monotonic() + at_least_s
    with database.refusing_writes():
        yield
        await asyncio.sleep(until - time.monotonic())


@asynccontextmanager
async def full(disk: Path) -> AsyncIterator[None]:
    """Fill a file system, which has to be a small one of its own."""
    filler = disk / "filler"
    with filler.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(b"\0" * 4096)
    yield
    filler.unlink()


@asynccontextmanager
async def without_room(database: PostgresServer, disk: Path) -> AsyncIterator[None]:
    """Fill the disk of the tables, and let each new row need a page of its own: those that are there have room."""
    database.ask("ALTER TABLE messages SET (fillfactor = 10)")
    async with full(disk):
        yield


@asynccontextmanager
async def immutable(path: Path) -> AsyncIterator[None]:
    """Let the file take no byte more, of whom has it open either, and root's no more than another's."""
    files = [path, path.with_name(f"{path.name}-wal")]  # -shm is memory: the kernel kills who writes to it then
    await asyncio.to_thread(subprocess.run, ["chattr", "+i", *map(str, files)], check=True)
    yield
    await asyncio.to_thread(subprocess.run, ["chattr", "-i", *map(str, files)], check=True)
