"""The program put together: what was asked for, what is on the other ends, and who answers it."""

import asyncio
import contextlib
import ssl
import sys
from collections.abc import Mapping, Sequence
from typing import Final

from services.termchat import wording
from services.termchat.answer_events import AnswerFailed
from services.termchat.conversation import Conversation
from services.termchat.exit_codes import Exit, exit_of_refusal
from services.termchat.files import NotReadable, path_of, read_text
from services.termchat.gateway import Gateway
from services.termchat.options import STOP, STREAMS, CommandLine, Misused, read_options
from services.termchat.session import Session, ask_once
from services.termchat.terminal import Terminal

QUESTION_BYTES: Final = 8 << 20
"""Of standard input: as much as a request may have (PROTOCOL.md, "Bodies")."""


def main(argv: Sequence[str], environ: Mapping[str, str]) -> int:
    """Run the terminal chat; return its exit code."""
    out, err = Terminal(1, environ), Terminal(2, environ)
    try:
        options = read_options(argv, environ)
        question = _question(options)
        # its debug mode, which the tests turn on for themselves, would write to a person's terminal
        return asyncio.run(_run(options, question, out, err, environ), debug=False)
    except Misused as exc:
        err.line(f"sluice: {exc}; sluice --help shows how")
        return Exit.USAGE
    except BrokenPipeError:
        return Exit.BROKEN_PIPE
    except OSError as exc:  # a full disk behind the pipe
        with contextlib.suppress(OSError):
            err.line(f"sluice: the answer cannot be written: {(exc.strerror or '').lower()}")
        return Exit.FAILED
    except KeyboardInterrupt:  # before there was anything to stop
        return Exit.INTERRUPTED


def _question(options: CommandLine) -> str:
    """Return what is asked once: what comes on standard input, and the words behind it; "" for a chat.

    Raises:
        Misused: nothing is asked, and nobody is there to ask.
    """
    if options.operation:
        return options.words
    if sys.stdin is not None and sys.stdin.isatty():
        if options.is_json and not options.words:
            raise Misused("--json is for one question")
        return options.words
    piped = b"" if sys.stdin is None else sys.stdin.buffer.read(QUESTION_BYTES + 1)
    if len(piped) > QUESTION_BYTES:
        raise Misused(f"more than {QUESTION_BYTES} bytes on standard input")
    question = "\n\n".join(filter(None, [piped.decode("utf-8", "replace").strip(), options.words]))
    if not question:
        raise Misused("nothing is asked")
    return question


async def _run(options: CommandLine, question: str, out: Terminal, err: Terminal, environ: Mapping[str, str]) -> int:
    gateway = Gateway(options.server, {**options.header, **_key(options)}, _trust(options))
    session = Session(options, gateway, out, err)
    try:
        if options.operation in {STREAMS, STOP}:
            from services.termchat import operators  # noqa: PLC0415 start is quick: nobody else needs it

            errand = operators.list_streams(session) if options.operation == STREAMS else None
            return await (errand or operators.stop_stream(session, options.words))
        conversation = await _conversation(session)
        if isinstance(conversation, AnswerFailed):
            err.line(f"sluice: {wording.failure(conversation)}")
            return exit_of_refusal(conversation)
        if question:
            return await ask_once(session, conversation, question)
        from services.termchat.chat import chat  # noqa: PLC0415 prompt_toolkit takes 0.1 s

        return await chat(session, conversation, environ)
    finally:
        await gateway.close()


async def _conversation(session: Session) -> Conversation | AnswerFailed:
    """Return what is gone on with: nothing yet, or what the gateway keeps."""
    options = session.options
    if not options.conversation:
        return Conversation(options.parameters)
    from services.termchat.opening import open_kept  # noqa: PLC0415 start is quick: nobody else needs it

    return await open_kept(session.gateway, options.conversation, options.parameters)


def _key(options: CommandLine) -> dict[str, str]:
    """Return the header that brings the key, if there is one.

    Raises:
        Misused: its file cannot be read, or holds no key.
    """
    if not options.key_file:
        return {}
    try:
        key = read_text(path_of(options.key_file)).strip()
    except NotReadable as exc:
        raise Misused(f"--key-file: {exc}") from exc
    if not key.isascii() or not key.isprintable() or " " in key or not key:
        raise Misused("--key-file: expected a file that holds one key and nothing else")
    return {"Authorization": f"Bearer {key}"}


def _trust(options: CommandLine) -> ssl.SSLContext | None:
    """Return whom to trust, where TLS is spoken.

    Raises:
        Misused: the file of certificates cannot be read.
    """
    if not options.server.is_secure:
        return None
    try:
        return ssl.create_default_context(cafile=options.cacert or None)
    except (OSError, ssl.SSLError) as exc:
        raise Misused("--cacert: expected a file of certificates in PEM") from exc
