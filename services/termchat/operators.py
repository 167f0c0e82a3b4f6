"""What an operator asks of the proxy: which answers are being made, and the stop of one."""

import json
from typing import Final

from services.termchat.answer_events import object_of, objects_in, refusal
from services.termchat.exit_codes import Exit, exit_of_refusal
from services.termchat.following import why_unreached
from services.termchat.gateway import HttpResponse, TransportError
from services.termchat.sanitizing import one_line
from services.termchat.session import Session
from services.termchat.terminal import Style
from services.termchat.wording import failure, table
from services.wire.ids import is_stream_id

COLUMNS: Final = ("id", "model", "status", "chunks", "bytes", "followers", "age_s")


async def list_streams(session: Session) -> int:
    """Print the answers that are being made, a line each; return the exit code."""
    answer = await _asked(session, "GET", "/api/streams")
    if answer is None:
        return Exit.UNREACHABLE
    if answer.status != 200:
        return _refused(session, answer)
    rows = objects_in(object_of(answer.body), "streams")
    if session.options.is_json:
        session.out.write("".join(f"{json.dumps(row)}\n" for row in rows))
    else:
        session.out.write(table([COLUMNS, *([_cell(row.get(name)) for name in COLUMNS] for row in rows)]))
    return Exit.OK


async def stop_stream(session: Session, stream_id: str) -> int:
    """Stop one; return the exit code."""
    if not is_stream_id(stream_id):
        session.tell("this is no stream's id; `sluice streams` shows them", Style.ERROR)
        return Exit.USAGE
    answer = await _asked(session, "DELETE", f"/api/streams/{stream_id}")
    if answer is None:
        return Exit.UNREACHABLE
    if answer.status not in {200, 202}:
        return _refused(session, answer)
    session.tell("stopped" if answer.status == 202 else "it was over already")
    return Exit.OK


def _refused(session: Session, answer: HttpResponse) -> int:
    failed = refusal(answer.status, answer.body, answer.headers.get("retry-after", ""))
    session.tell(failure(failed), Style.ERROR)
    return exit_of_refusal(failed)


def _cell(value: object) -> str:
    return "" if value is None else one_line(str(value))


async def _asked(session: Session, method: str, path: str) -> HttpResponse | None:
    gateway = session.gateway
    try:
        return await (gateway.get(path) if method == "GET" else gateway.delete(path))
    except TransportError as failed:
        session.tell(why_unreached(failed.how, "The proxy", str(gateway.server)), Style.ERROR)
        return None
