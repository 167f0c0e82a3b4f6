"""A chat: prompts, commands, one answer after another."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from services.termchat import saved, wording
from services.termchat.answer_events import AnswerFailed, AnswerFinished, object_of, objects_in, refusal, tools_in
from services.termchat.branch import Branch
from services.termchat.commands import HELP, Command, Nothing, Quit, Say, Unknown, line_of, meaning_of
from services.termchat.conversation import BadValue, Conversation
from services.termchat.exit_codes import Exit
from services.termchat.files import (
    NotReadable,
    history_path,
    is_there,
    path_of,
    prepare_history,
    read_text,
    save_text,
)
from services.termchat.following import why_unreached
from services.termchat.gateway import ASK_TIMEOUT_S, TransportError
from services.termchat.kept import NEW
from services.termchat.opening import open_kept
from services.termchat.prompt import EditedPrompt, PlainPrompt, Prompt
from services.termchat.sanitizing import one_line, sanitized
from services.termchat.session import LEAVING_SIGNALS, SIGNALLED, Session
from services.termchat.terminal import Style
from services.wire.model_names import canonical

GREETING_S: Final = 1.0
"""How long the first look at the gateway may hold up the prompt."""
SHOWN_CHARACTERS: Final = 160
"""Of each of the last words of a conversation that is gone on with."""
HOW_TO_LEAVE: Final = "Ctrl-C again, Ctrl-D or /exit leaves"


async def chat(session: Session, conversation: Conversation, environ: Mapping[str, str]) -> int:
    """Talk until the person leaves; return the exit code."""
    talk = TerminalChat(session, conversation)
    await talk.greet()
    prompt = _prompt(session, environ, lambda: talk.models)
    loop = asyncio.get_running_loop()
    while not session.interrupts.leaving:
        for number in LEAVING_SIGNALS:
            loop.add_signal_handler(number, session.told_to_leave, number, prompt.abandon)
        try:
            await talk.take(await prompt.ask(talk.draft))
        except EOFError:
            break
        except KeyboardInterrupt:
            if not session.interrupts.press(time.monotonic()):
                session.tell(HOW_TO_LEAVE, Style.DIM)
    if session.left_by:
        return SIGNALLED + session.left_by
    return Exit.INTERRUPTED if session.interrupts.leaving and not talk.has_left else Exit.OK


def _prompt(session: Session, environ: Mapping[str, str], models: Callable[[], list[str]]) -> Prompt:
    if not session.out.moves:
        return PlainPrompt(session.out)
    history = None

    def tell(why: object) -> None:
        session.tell(f"what you type is not kept: {why}", Style.DIM)

    if session.options.keeps_history:
        try:
            history = history_path(environ)
            prepare_history(history)
        except NotReadable as exc:
            tell(exc)
            history = None
    return EditedPrompt(history, models, tell)


class TerminalChat:
    """What a person's lines do.

    Attributes:
        models: names that the gateway has listed.
        draft: the next prompt begins with it: a question that is being changed.
        has_left: the person said so.
    """

    def __init__(self, session: Session, conversation: Conversation) -> None:
        self.models: list[str] = []
        self.draft = ""
        self.has_left = False
        self._session = session
        self._conversation = conversation
        self._server_tools: list[str] | bool = False  # names, or true for those that nobody lists
        self._numbers: Mapping[str, Any] | None = None  # of the last answer that ended
        self._commands: Mapping[str, Callable[[str], Awaitable[None] | None]] = {
            "help": self._help,
            "stream": self._stream,
            "temp": self._temp,
            "model": self._model,
            "models": self._models,
            "tools": self._tools,
            "history": self._history,
            "clear": self._clear,
            "set": self._set,
            "retry": self._retry,
            "edit": self._edit,
            "save": self._save,
            "load": self._load,
            "stats": self._stats,
        }

    async def greet(self) -> None:
        """Say whom one talks to, or that nobody is there; the chat goes on in either case."""
        server = self._session.gateway.server
        listed = await self._listed(GREETING_S)
        if isinstance(listed, AnswerFailed):
            self._tell(f"{wording.failure(listed)} It is asked again with each question.", Style.ERROR)
            return
        default = next((str(row.get("name")) for row in listed if row.get("default") is True), "no model")
        name = one_line(self._conversation.parameters.model or default)
        rows = [row for row in listed if canonical(str(row.get("name"))) == canonical(name)] or listed
        simulated = [row.get("simulated") is True for row in rows]
        whose = " (a simulator: its words are not a model's)" if simulated and all(simulated) else ""
        self._tell(f"{name}{whose} at {server} · /help", Style.DIM)
        if self._conversation.branch is not None:
            self._tell_branch(self._conversation.branch)

    async def take(self, line: str) -> None:
        """Do what a line means."""
        editing, self.draft = bool(self.draft), ""
        match meaning_of(line):
            case Say(text):
                if editing:
                    self._conversation.take_back()
                await self._ask(text)
            case Command(name, argument):
                done = self._commands[name](argument)
                if done is not None:
                    await done
            case Unknown(name, nearest):
                meant = f"; did you mean /{nearest}?" if nearest else "; /help lists what there is"
                self._tell(f"there is no /{one_line(name)}{meant}")
            case Quit():
                self.has_left = self._session.interrupts.leaving = True
            case Nothing():
                pass

    async def _ask(self, text: str) -> None:
        self._conversation.ask(text)
        answer = await self._session.answer(self._conversation)
        self._conversation.take_answer(answer.text, answer.mark, answer.rows)
        if isinstance(answer.end, AnswerFinished):
            self._numbers = answer.end.numbers
        if isinstance(answer.end, AnswerFailed) and answer.end.retryable and not answer.was_stopped:
            self._tell(wording.RETRY, Style.DIM)

    def _help(self, _: str) -> None:
        rows = [(f"/{name} {argument}", about) for name, (argument, about) in HELP.items()]
        more = [("//text", "a message that begins with a slash"), ('"""', "begins and ends one of several lines")]
        self._session.out.write(wording.table([*rows, *more, ("Ctrl-C", "stops the answer; twice leaves")]))

    def _stream(self, argument: str) -> None:
        if argument not in {"", "on", "off"}:
            self._tell("expected /stream on or /stream off", Style.ERROR)
            return
        session = self._session
        session.is_streaming = argument == "on" if argument else not session.is_streaming
        self._tell("words are shown as they come" if session.is_streaming else "answers are shown when they are whole")

    def _temp(self, argument: str) -> None:
        if argument:
            self._choose("temperature", argument)
        self._tell(f"temperature {self._conversation.parameters.temperature:g}")

    def _model(self, argument: str) -> None:
        known = {canonical(name) for name in self.models}
        if argument and self._choose("model", argument) and known and canonical(argument) not in known:
            self._tell("it is not listed; the model server will say whether it knows it", Style.DIM)
        self._tell(f"model {one_line(self._conversation.parameters.model or 'the default of the gateway')}")

    async def _models(self, _: str) -> None:
        listed = await self._listed()
        if isinstance(listed, AnswerFailed):
            self._tell(wording.failure(listed), Style.ERROR)
        elif not listed:
            self._tell("No model is installed. Beside Ollama: ollama pull llama3.2")
        else:
            self._session.out.write(wording.table(wording.model_rows(listed)))

    def _history(self, argument: str) -> None:
        if argument and not (argument.isascii() and argument.isdigit() and len(argument) < 4):
            self._tell("expected /history or /history and how many", Style.ERROR)
            return
        conversation = self._conversation
        messages = list(conversation.messages)
        self._tell(f"{len(messages)} messages, ~{conversation.approximate_tokens} tokens", Style.DIM)
        for one in messages[len(messages) - int(argument) if argument and int(argument) < len(messages) else 0 :]:
            mark = f" [{one_line(one.mark)}]" if one.mark else ""
            self._tell(f"{'you' if one.role == 'user' else 'model'}{mark}:", Style.NAME)
            self._tell(sanitized(one.content))

    async def _tools(self, argument: str) -> None:
        if argument not in {"", "on", "off"}:
            self._tell("expected /tools on or /tools off", Style.ERROR)
            return
        parameters = self._conversation.parameters
        parameters.tools = argument == "on" if argument else parameters.tools
        listed = await self._listed()
        if isinstance(listed, AnswerFailed):
            self._tell(wording.failure(listed), Style.ERROR)
        self._tell(wording.tools(self._server_tools, on=parameters.tools))

    async def _clear(self, _: str) -> None:
        if self._conversation.branch is not None:
            made = await self._begun()
            if isinstance(made, AnswerFailed):
                self._tell(f"still in the same: {wording.failure(made)}", Style.ERROR)
                return
            self._conversation = made
            self._tell("a new one; the one before is kept")
            return
        self._conversation.clear()
        self._tell("forgotten; the system prompt stays")

    async def _begun(self) -> Conversation | AnswerFailed:
        """Return another conversation that the gateway keeps, or why there is none."""
        try:
            async with self._session.patience(ASK_TIMEOUT_S):
                return await open_kept(self._session.gateway, NEW, self._conversation.parameters)
        except TimeoutError:
            return self._not_answered()

    def _tell_branch(self, branch: Branch) -> None:
        """Say where one is, and what was said last."""
        messages = self._conversation.messages
        self._tell(f"conversation {one_line(branch.conversation_id)}, kept by the gateway", Style.DIM)
        for one in list(messages)[-2:]:
            self._tell(f"{'you' if one.role == 'user' else 'model'}: {_shortly(one.content)}", Style.DIM)

    def _set(self, argument: str) -> None:
        name, _, value = argument.partition(" ")
        parameters = self._conversation.parameters
        if name and (name not in wording.SETTABLE or not self._choose(name, value.strip())):
            if name not in wording.SETTABLE:
                self._tell(f"expected /set {HELP['set'][0]}", Style.ERROR)
            return
        for one in [name] if name else wording.SETTABLE:
            value_now = getattr(parameters, one)
            self._tell(f"{one} {'left to the model' if value_now is None else sanitized(str(value_now))}")

    async def _retry(self, _: str) -> None:
        question = self._conversation.take_back()
        if question:
            await self._ask(question)
        else:
            self._tell("nothing was asked yet")

    def _edit(self, _: str) -> None:
        if self._conversation.last_question:
            self.draft = line_of(self._conversation.last_question)
        else:
            self._tell("nothing was asked yet")

    def _save(self, argument: str) -> None:
        if not argument:
            self._tell("expected /save and a file", Style.ERROR)
            return
        try:
            path = path_of(argument)
            if is_there(path):
                saved.from_text(read_text(path))  # what is not ours is not replaced
            save_text(path, saved.to_text(self._conversation))
        except (NotReadable, saved.NotOurs) as exc:
            self._tell(f"not saved: {exc}", Style.ERROR)
        else:
            self._tell(f"saved, {len(self._conversation.messages)} messages")

    def _load(self, argument: str) -> None:
        if not argument:
            self._tell("expected /load and a file", Style.ERROR)
            return
        before = self._conversation
        try:
            self._conversation = saved.from_text(read_text(path_of(argument)))
        except (NotReadable, saved.NotOurs) as exc:
            self._tell(f"not loaded, nothing is changed: {exc}", Style.ERROR)
        else:
            self._conversation.parameters.tools = before.parameters.tools  # no file turns them on or off
            not_kept = "; from here on the gateway keeps nothing" if before.branch is not None else ""
            self._tell(f"loaded, {len(self._conversation.messages)} messages{not_kept}")

    def _stats(self, _: str) -> None:
        lines = wording.stats(self._numbers) if self._numbers is not None else ["nothing was answered yet"]
        for line in lines:
            self._tell(line)

    def _choose(self, name: str, value: str) -> bool:
        try:
            self._conversation.parameters.choose(name, value)
        except BadValue as exc:
            self._tell(str(exc), Style.ERROR)
            return False
        return True

    async def _listed(self, timeout_s: float = ASK_TIMEOUT_S) -> list[dict[str, Any]] | AnswerFailed:
        """Return what the gateway lists, or why it does not."""
        try:
            async with self._session.patience(timeout_s):
                answer = await self._session.gateway.get("/api/models")
        except TransportError as failed:
            return AnswerFailed("", why_unreached(failed.how, at=str(self._session.gateway.server)))
        except TimeoutError:
            return self._not_answered()
        if answer.status != 200:
            return refusal(answer.status, answer.body, answer.headers.get("retry-after", ""))
        listed = objects_in(object_of(answer.body), "models")
        self.models = [row["name"] for row in listed if isinstance(row.get("name"), str)]
        self._server_tools = tools_in(object_of(answer.body))
        return listed

    def _not_answered(self) -> AnswerFailed:
        return AnswerFailed("", f"The gateway at {self._session.gateway.server} has not answered.")

    def _tell(self, words: str, style: Style = Style.PLAIN) -> None:
        self._session.tell(words, style)


def _shortly(text: str) -> str:
    line = one_line(text)
    return line if len(line) <= SHOWN_CHARACTERS else f"{line[:SHOWN_CHARACTERS]}…"
