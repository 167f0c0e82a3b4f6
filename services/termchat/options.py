"""The command line: `sluice`, `sluice "question"`, `sluice streams`, `sluice stop <id>`."""

import argparse
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, NoReturn

from services.runtime.version import VERSION
from services.termchat import commands, settings
from services.termchat.conversation import BadValue, Parameters
from services.termchat.kept import LAST, NEW
from services.termchat.server_url import ServerUrl

_HEADER: Final = re.compile(r"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([\x20-\x7e\xa0-\xff]*)")
# What the connection itself needs to say.
_NOT_YOURS: Final = ("host", "content-length", "transfer-encoding", "connection", "content-type", "accept")
_CONVERSATION: Final = re.compile(r"cv_[A-Z2-7]{26}")
STREAMS: Final = "streams"
STOP: Final = "stop"


class Misused(Exception):
    """The command line or the environment cannot be used; the message is for the person."""


@dataclass(frozen=True)
class CommandLine:
    """What was asked for.

    Args:
        words: the question, or what an operator wants; empty for a chat.
        server: the server: for operators the proxy, else the gateway.
        header: sent with every request.
        key_file: what holds the key that is sent, too; "" for none.
        cacert: a file; "" trusts what the system trusts.
        conversation: one that the gateway keeps: its id, `last` or `new`; "" keeps none.
    """

    words: str
    server: ServerUrl
    header: Mapping[str, str]
    key_file: str = ""
    cacert: str = ""
    parameters: Parameters = field(default_factory=Parameters)
    is_streaming: bool = True
    is_json: bool = False
    is_rendered: bool = False
    rings: bool = False
    keeps_history: bool = True
    operation: str = ""
    conversation: str = ""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise Misused(message)


def read_options(argv: Sequence[str], environ: Mapping[str, str]) -> CommandLine:
    """Return what the command line asks for, with its defaults from the environment.

    Raises:
        Misused: it is not understood.
        SystemExit: it was help or the version that was asked for.
    """
    problems = settings.unknown(environ)
    if problems:
        raise Misused("; ".join(problems))
    asked = _parser().parse_args([_valid_text(word) for word in argv])
    operation = _operation(asked.question)
    default_server = settings.PROXY if operation else environ.get(settings.URL) or settings.GATEWAY
    headers = asked.header or environ.get(settings.HEADER, "").split("\n")
    parameters = Parameters()
    _choose(parameters, "model", "--model", asked.model or environ.get(settings.MODEL, ""))
    _choose(parameters, "system", "--system", asked.system or environ.get(settings.SYSTEM, ""))
    parameters.tools = asked.tools
    return CommandLine(
        words=asked.question[1] if operation == STOP else "" if operation else " ".join(asked.question),
        server=_server(asked.url or default_server),
        header=dict(_header(text) for text in headers if text),
        key_file=asked.key_file or environ.get(settings.KEY_FILE, ""),
        cacert=asked.cacert or environ.get(settings.CACERT, ""),
        parameters=parameters,
        is_streaming=not asked.no_stream,
        is_json=asked.json,
        is_rendered=asked.render,
        rings=asked.bell,
        keeps_history=not asked.no_history,
        operation=operation,
        conversation=_conversation(asked.conversation),
    )


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="sluice",
        usage='sluice [options] ["question"] | sluice streams | sluice stop ID',
        description="Chat with a model through Sluice's gateway. Standard input is put before the question.",
        epilog=_epilog(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("question", nargs="*", help="answered once, and printed; without it a chat begins")
    add("--url", metavar="URL", help=f"the gateway [{settings.GATEWAY}]; for operators the proxy [{settings.PROXY}]")
    add("--key-file", metavar="FILE", help="holds the key that the gateway asks for")
    add("--header", metavar="TEXT", action="append", help="'Name: value', sent with every request; may be given again")
    add("--cacert", metavar="FILE", help="certificates to trust instead of the system's")
    add("--model", metavar="NAME", help="the model [the gateway's default]")
    add("--system", metavar="TEXT", help="the system prompt")
    add("--conversation", metavar="ID", help="go on with one that the gateway keeps: an id, `last`, or `new`")
    add("--tools", action="store_true", help="let the model use the tools that run beside it")
    add("--no-stream", action="store_true", help="show the whole answer at once")
    add("--json", action="store_true", help="print every event as a line of JSON")
    add("--render", action="store_true", help="show Markdown, paragraph by paragraph")
    add("--bell", action="store_true", help="ring at the end of an answer")
    add("--no-history", action="store_true", help="keep no file of what was typed")
    add("--version", action="version", version=f"sluice {VERSION}")
    return parser


def _epilog() -> str:
    rows = [f"  {row.name:<21} {row.description}" for row in settings.ROWS]
    known = [f"  /{name} {argument}".ljust(47) + about for name, (argument, about) in commands.HELP.items()]
    return "\n".join(
        [
            "for operators, at the proxy:",
            "  sluice streams        the answers that are being made",
            "  sluice stop ID        stop one",
            "",
            "defaults, from the environment:",
            *rows,
            "",
            "in a chat:",
            *known,
            "",
            "exit codes: 0 answered, 1 the answer failed, 2 not understood, 3 gateway not reached, 4 not allowed,",
            "  5 busy (ask again later), 130 stopped by Ctrl-C, 141 nobody reads",
        ]
    )


def _operation(words: Sequence[str]) -> str:
    """Return what an operator wants, "" where it is a question: one that is several words, or begins otherwise."""
    if list(words) == [STREAMS]:
        return STREAMS
    return STOP if len(words) == 2 and words[0] == STOP else ""


def _conversation(text: str | None) -> str:
    if text and text not in {LAST, NEW} and not _CONVERSATION.fullmatch(text):
        raise Misused("--conversation: expected the id of one that the gateway keeps (cv_…), last or new")
    return text or ""


def _choose(parameters: Parameters, name: str, option: str, text: str) -> None:
    try:
        parameters.choose(name, text)
    except BadValue as exc:
        raise Misused(f"{option}: {exc}") from exc


def _server(text: str) -> ServerUrl:
    try:
        return ServerUrl.parse(text)
    except ValueError as exc:
        raise Misused(f"--url: {exc}") from exc


def _header(text: str) -> tuple[str, str]:
    match = _HEADER.fullmatch(text.strip())
    if match is None or match[1].lower() in _NOT_YOURS:
        raise Misused("--header: expected 'Name: value', and no header that the connection itself needs")
    return match[1], match[2]


def _valid_text(argument: str) -> str:
    """Return an argument whose bytes that are no UTF-8 are U+FFFD."""
    return argument.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
