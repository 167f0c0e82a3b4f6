"""What a run's readers do: one coroutine a way, each ends with what they saw.

A reader whose connection broke through no will of its own comes back through the safe door, as a page or the terminal
does, and so does one who was told by a gateway, not by the log, that the answer is lost.
"""

import asyncio
import contextlib
import json
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from services.wire.events import FinishReason
from tests.behaviour.socket_client import SocketClient
from tests.faults.composition import Composition, Way
from tests.faults.history import History, Part, Reader
from tests.reader import Answer

WITHIN_S: Final = 25.0
COMES_BACK: Final = 4  # times, of a reader that only wants to read
CANARY: Final = "canary7q7zx"
LITTLE_BYTES: Final = 8192
LITTLE_S: Final = 0.005  # a slow reader's pause: what is tested
STUCK_S: Final = 2.6  # longer than the gateway's write time-out: what is tested
TINY_BUFFER_BYTES: Final = 4096
_BROKEN: Final = (ConnectionError, AssertionError, OSError)


@dataclass(frozen=True)
class Doors:
    """The ports that a run knows: where it asks, where it comes back, and the proxy's."""

    ask: int
    again: int
    proxy: int


async def live(run: Composition, doors: Doors) -> History:
    """Do what the run's plan says, and return what its readers saw."""
    seen = History()
    try:
        async with asyncio.timeout(WITHIN_S):
            await asyncio.sleep(run.delay_s)  # runs of a batch do not begin together: what is tested
            await _WAYS[run.plan.way](run, doors, seen)
    except TimeoutError:
        seen.failure = f"not over within {WITHIN_S:g} s"
    except Exception as exc:  # noqa: BLE001 told as the run's failure: the others of its batch go on
        seen.failure = repr(exc)
    return seen


# --- one connection


@contextlib.asynccontextmanager
async def _asking(
    run: Composition,
    port: int,
    *,
    headers: Mapping[str, str] | None = None,
    path: str = "/api/chat/stream",
    receive_buffer_bytes: int | None = None,
) -> AsyncIterator[SocketClient]:
    body: dict[str, Any] = {"model": run.model, "options": run.options}
    body["messages"] = [{"role": "user", "content": f"{CANARY} {run.seed}"}]
    body["on_disconnect"] = run.plan.on_disconnect  # dropped where it means nothing
    async with SocketClient.connected(port, receive_buffer_bytes=receive_buffer_bytes) as client:
        await client.ask(path, body, {"X-Request-Id": run.request_id, **(headers or {})})
        yield client


@contextlib.asynccontextmanager
async def _following(run: Composition, port: int, answer: Answer, after: int) -> AsyncIterator[SocketClient]:
    async with SocketClient.connected(port) as client:
        await client.ask(f"{answer.path}?after={after}", None, {"X-Request-Id": run.request_id}, method="GET")
        yield client


async def _to(client: SocketClient, count: int) -> None:
    """Read until so many numbered events have come, or the end."""
    with contextlib.suppress(*_BROKEN):
        await client.until(lambda answer: len(part_of(answer).numbers) > count or part_of(answer).end, WITHIN_S)


async def _to_end(client: SocketClient) -> None:
    if client.answer.ended_cleanly or client.closed:  # what comes next is the keep-alive's end
        return
    with contextlib.suppress(*_BROKEN):
        await client.until_end(WITHIN_S)


def part_of(answer: Answer) -> Part:
    """Return what a connection has brought so far."""
    if answer.status not in {0, 200}:
        return Part(answer.status, _refusal(answer), clean=answer.ended_cleanly)
    kind = answer.headers.get("Content-Type", "")
    if "ndjson" in kind:
        return _part_of_lines(answer)
    if "event-stream" not in kind:
        return _part_of_object(answer)
    numbers: list[int] = []
    logged = True
    for event in answer.events:
        number = int(event.last_event_id.rpartition("-")[2] or 0)
        if event.type == "status":  # not in the log
            continue
        logged = bool(number) and (not numbers or number != numbers[-1])  # the decoder carries the last id on
        if logged:
            numbers.append(number)
    return Part(
        200, "", answer.text, answer.thinking, numbers, answer.reason, logged=logged, clean=answer.ended_cleanly
    )


def _refusal(answer: Answer) -> str:
    """Return the code of a refusal; a body that broke off has none."""
    if code := answer.headers.get("Sluice-Error-Code"):
        return code
    with contextlib.suppress(ValueError, KeyError, TypeError):
        return str(answer.error["code"])
    return "" if answer.status == 204 else "unreadable"


def _part_of_lines(answer: Answer) -> Part:
    lines = [json.loads(line) for line in answer.body.split(b"\n")[:-1]]
    messages = [line["message"] for line in lines if "message" in line]
    text, thinking = ("".join(message.get(field) or "" for message in messages) for field in ("content", "thinking"))
    last: Mapping[str, Any] = lines[-1] if lines else {}
    reason = str(last.get("done_reason", "")) if last.get("done") else ""
    if reason and reason not in set(FinishReason):
        reason = "stop"  # the model server's own word, which this dialect carries as it came
    return Part(200, "", text, thinking, (), "error" if "error" in last else reason, clean=answer.ended_cleanly)


def _part_of_object(answer: Answer) -> Part:
    if not answer.ended_cleanly:
        return Part(answer.status)
    whole = json.loads(answer.body)
    message = whole["message"]
    return Part(200, "", message["content"], message.get("thinking") or "", (), whole["finish_reason"], clean=True)


# --- coming back


async def _read_on(run: Composition, doors: Doors, reader: Reader, answer: Answer) -> None:
    """Come back until the log's own end has been seen."""
    for _ in range(COMES_BACK):
        last = reader.last
        if not answer.stream_id or last.status not in {0, 200} or (last.end and last.logged):
            return
        with contextlib.suppress(*_BROKEN):
            async with _following(run, doors.again, answer, max(reader.numbers, default=0)) as client:
                await _to_end(client)
                reader.parts.append(part_of(client.answer))


async def _leave(run: Composition, client: SocketClient) -> None:
    if run.plan.reset:
        client.reset()
    else:
        client.fin()


# --- the ways


async def _read(run: Composition, doors: Doors, seen: History) -> None:
    reader = Reader()
    seen.readers.append(reader)
    with contextlib.suppress(ConnectionError):
        async with _asking(run, doors.ask) as client:
            await _to_end(client)
            reader.parts.append(part_of(client.answer))
        await _read_on(run, doors, reader, client.answer)


async def _go(run: Composition, doors: Doors, seen: History) -> None:
    reader = Reader(left=True)
    seen.readers.append(reader)
    with contextlib.suppress(ConnectionError):
        if run.plan.after < 0:
            async with SocketClient.connected(doors.ask) as client:
                head = f"POST /api/chat/stream HTTP/1.1\r\nHost: localhost\r\nX-Request-Id: {run.request_id}\r\n"
                await client.send(f'{head}Content-Type: application/json\r\nContent-Length: 900\r\n\r\n{{"'.encode())
                await _leave(run, client)
            return
        async with _asking(run, doors.ask) as client:
            if run.plan.after:
                await _to(client, run.plan.after)
            reader.parts.append(part_of(client.answer))
            seen.left_at = time.monotonic() if reader.last.numbers and not reader.last.end else None
            await _leave(run, client)


async def _return(run: Composition, doors: Doors, seen: History) -> None:
    """Leave, and take the stream up again, in turns; at last read to the end."""
    reader = Reader()
    seen.readers.append(reader)
    with contextlib.suppress(ConnectionError):
        async with _asking(run, doors.ask) as client:
            await _to(client, run.plan.after)
            reader.parts.append(part_of(client.answer))
            await _leave(run, client)
        first = client.answer
        for _ in range(run.plan.times - 1):
            if not first.stream_id or reader.last.end or reader.last.refusal:
                break
            with contextlib.suppress(ConnectionError):
                async with _following(run, doors.again, first, max(reader.numbers, default=0)) as client:
                    await _to(client, run.plan.after)
                    reader.parts.append(part_of(client.answer))
                    await _leave(run, client)
        await _read_on(run, doors, reader, first)


async def _cancel(run: Composition, doors: Doors, seen: History) -> None:
    reader = Reader()
    seen.readers.append(reader)
    with contextlib.suppress(ConnectionError):
        async with _asking(run, doors.ask) as client:
            await _to(client, run.plan.after)
            if client.answer.stream_id and not part_of(client.answer).end:
                seen.left_at = time.monotonic()
                with contextlib.suppress(*_BROKEN):
                    async with SocketClient.connected(doors.again) as other:
                        await other.ask(f"{client.answer.path}/cancel", {})
                        await other.until_end(WITHIN_S)
                        seen.cancelled = other.answer.status
            await _to_end(client)
            reader.parts.append(part_of(client.answer))
        await _read_on(run, doors, reader, client.answer)


async def _read_slowly(run: Composition, doors: Doors, seen: History) -> None:
    reader = Reader()
    seen.readers.append(reader)
    with contextlib.suppress(ConnectionError):
        async with _asking(run, doors.ask, receive_buffer_bytes=TINY_BUFFER_BYTES) as client:
            with contextlib.suppress(*_BROKEN):
                while await client.read(LITTLE_BYTES):  # noqa: ASYNC110 nothing is waited for: it is the pace
                    await asyncio.sleep(LITTLE_S)
            reader.parts.append(part_of(client.answer))
        await _read_on(run, doors, reader, client.answer)


async def _get_stuck(run: Composition, doors: Doors, seen: History) -> None:
    reader = Reader()
    seen.readers.append(reader)
    with contextlib.suppress(ConnectionError):
        async with _asking(run, doors.ask, receive_buffer_bytes=TINY_BUFFER_BYTES) as client:
            await _to(client, 1)
            await asyncio.sleep(STUCK_S)
            client.widen()
            await _to_end(client)
            reader.parts.append(part_of(client.answer))
        await _read_on(run, doors, reader, client.answer)


async def _read_by_two(run: Composition, doors: Doors, seen: History) -> None:
    one, two = Reader(), Reader()
    seen.readers.append(one)
    with contextlib.suppress(ConnectionError):
        async with _asking(run, doors.ask) as first:
            await _to(first, 1)
            if first.answer.stream_id:
                seen.readers.append(two)
                with contextlib.suppress(ConnectionError):
                    async with _following(run, doors.again, first.answer, 0) as second:
                        await _to(second, 1)
                        if run.plan.times == 2:
                            one.left = True
                            one.parts.append(part_of(first.answer))
                            await _leave(run, first)
                        await _to_end(second)
                        two.parts.append(part_of(second.answer))
                await _read_on(run, doors, two, first.answer)
            if not one.left:
                await _to_end(first)
                one.parts.append(part_of(first.answer))
        if not one.left:
            await _read_on(run, doors, one, first.answer)


async def _ask_twice(run: Composition, doors: Doors, seen: History) -> None:
    own_key = secrets.token_urlsafe(24)  # not the run's: a batch may be repeated while its first answers are kept

    async def ask(port: int, delay_s: float) -> None:
        reader = Reader()
        seen.readers.append(reader)
        await asyncio.sleep(delay_s)  # the second comes while the first is answered, or after it: what is tested
        key = {"Idempotency-Key": own_key}
        with contextlib.suppress(ConnectionError):
            async with _asking(run, port, headers=key) as client:
                await _to_end(client)
                reader.parts.append(part_of(client.answer))
            await _read_on(run, doors, reader, client.answer)

    await asyncio.gather(ask(doors.ask, 0.0), ask(doors.again, run.plan.after / 40))


async def _read_unresumed(run: Composition, doors: Doors, seen: History, *, path: str) -> None:
    """Read an answer by a route whose clients cannot come back for the rest."""
    reader = Reader()
    seen.readers.append(reader)
    with contextlib.suppress(ConnectionError):
        async with _asking(run, doors.ask, path=path) as client:
            await _to_end(client)
            reader.parts.append(part_of(client.answer))


async def _read_directly(run: Composition, doors: Doors, seen: History) -> None:
    reader = Reader(left=run.plan.reset)
    seen.readers.append(reader)
    async with _asking(run, doors.proxy) as client:
        if run.plan.reset:
            await _to(client, run.plan.after)
            reader.parts.append(part_of(client.answer))
            seen.left_at = time.monotonic() if reader.last.numbers and not reader.last.end else None
            client.reset()
        else:
            await _to_end(client)
            reader.parts.append(part_of(client.answer))


_WAYS: Final[Mapping[Way, Callable[[Composition, Doors, History], Awaitable[None]]]] = {
    Way.READ: _read,
    Way.LEAVE: _go,
    Way.RETURN: _return,
    Way.CANCEL: _cancel,
    Way.SLOW: _read_slowly,
    Way.STUCK: _get_stuck,
    Way.TWO: _read_by_two,
    Way.REPEAT: _ask_twice,
    Way.WHOLE: partial(_read_unresumed, path="/api/chat"),
    Way.OLLAMA: partial(_read_unresumed, path="/ollama/api/chat"),
    Way.DIRECT: _read_directly,
}
