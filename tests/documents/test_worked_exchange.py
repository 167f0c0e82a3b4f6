"""PROTOCOL.md's worked exchange, asked of a real chain: what it shows is what comes back."""

import http.client
import json
import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Self

import pytest

from tests.chain import Chain, running_chain
from tests.documents.tables import between

STREAM_ID = re.compile(r"[A-Za-z0-9]{1,16}\.[A-Z2-7]{26}")
REQUEST_ID = re.compile(r'(?<="request_id":")[A-Za-z0-9_-]{8,64}(?=")')
HEARTBEATS = {"HEARTBEAT_S": "10"}  # the default, which the document shows; the chain of the tests has another


@dataclass(frozen=True)
class Step:
    """One command of the document and the answer below it: status line, some headers, body."""

    command: str
    shown: str

    @property
    def status(self) -> int:
        return int(self.shown.split(" ")[1])

    @property
    def headers(self) -> dict[str, str]:
        lines = self.shown.partition("\n\n")[0].split("\n")[1:]
        return {name: value for name, _, value in (line.partition(": ") for line in lines)}

    @property
    def body(self) -> str:
        return self.shown.partition("\n\n")[2]


@dataclass(frozen=True)
class Curl:
    """What a curl command asks for."""

    method: str
    port: int
    path: str
    headers: Mapping[str, str]
    body: str | None

    @classmethod
    def of(cls, command: str) -> Self:
        program, *words = shlex.split(command)
        assert program == "curl"
        options = {"-H": list[str](), "-d": list[str](), "-X": list[str](), "url": list[str]()}
        while words:
            word = words.pop(0)
            if word in options:
                options[word].append(words.pop(0))
            elif not word.startswith("-"):
                options["url"].append(word)
        ((host, _, path),) = [url.partition("/") for url in options["url"]]
        headers = {name: value for name, _, value in (line.partition(": ") for line in options["-H"])}
        body = next(iter(options["-d"]), None)
        method = next(iter(options["-X"]), "GET" if body is None else "POST")
        return cls(method, int(host.removeprefix("localhost:")), f"/{path}", headers, body)


def steps() -> list[Step]:
    fences = re.findall(r"```\w+\n(.*?)```", between("PROTOCOL.md", "exchange"), re.DOTALL)
    return [Step(command.strip(), shown) for command, shown in zip(fences[::2], fences[1::2], strict=True)]


def ask(chain: Chain, curl: Curl) -> tuple[int, http.client.HTTPMessage, str]:
    server = {3001: chain.gateway, 8080: chain.proxy}[curl.port]
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
    try:
        connection.request(curl.method, curl.path, curl.body, dict(curl.headers))
        response = connection.getresponse()
        return response.status, response.headers, response.read().decode()
    finally:
        connection.close()


def content(body: str) -> list[Any]:
    """Return what a body says: its JSON, or its frames; without the numbers that a clock made."""
    if not body.startswith(("id: ", "event: ")):
        return [json.loads(body)] if body.strip() else []
    return list(joined(frame(block) for block in body.strip().split("\n\n")))


def frame(block: str) -> tuple[list[str], dict[str, Any]]:
    """Return the fields before `data:`, in their order, and the data."""
    *fields, data = block.split("\n")
    assert data.startswith("data: ")
    return fields, timeless(json.loads(data.removeprefix("data: ")))


def timeless(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    clocked = {name for name in value if name.endswith("_ms") or name == "tokens_per_s"}
    return {name: type(inner).__name__ if name in clocked else timeless(inner) for name, inner in value.items()}


def joined(frames: Iterator[tuple[list[str], dict[str, Any]]]) -> Iterator[tuple[list[str], dict[str, Any]]]:
    """Join neighbouring text as PROTOCOL.md allows, and leave out `status`: both depend on how busy the machine is."""
    held: tuple[list[str], dict[str, Any]] | None = None
    for fields, data in frames:
        if "event: status" in fields:
            continue
        key = text_key(data)
        if held is not None and key is not None and key == text_key(held[1]):
            held = fields, {**data, key: held[1][key] + data[key]}
            continue
        if held is not None:
            yield held
        held = fields, data
    if held is not None:
        yield held


def text_key(data: dict[str, Any]) -> str | None:
    """Where a token frame of either dialect has its text."""
    if data.get("type") == "token":
        return "content"
    return "token" if data.get("token") else None


@pytest.fixture(scope="module")
def chain() -> Iterator[Chain]:
    with running_chain(proxy=HEARTBEATS, gateway=HEARTBEATS) as chain:
        yield chain


def renamed(text: str, names: Mapping[str, str]) -> str:
    """Return ``text`` with its stream ids replaced by their ``names``, and without request ids."""
    return REQUEST_ID.sub("…", STREAM_ID.sub(lambda found: names.get(found[0], found[0]), text))


def test_every_step_of_the_worked_exchange_is_answered_as_the_document_shows(chain: Chain) -> None:
    ids: dict[str, str] = {}  # the document's stream ids -> those of this run
    for step in steps():
        status, headers, body = ask(chain, Curl.of(renamed(step.command, ids)))
        if "X-Stream-Id" in step.headers:
            ids.setdefault(step.headers["X-Stream-Id"], headers["X-Stream-Id"])
        shown = {real: name for name, real in ids.items()}

        assert (status, content(renamed(body, shown))) == (step.status, content(renamed(step.body, {}))), step.command
        assert {name: renamed(headers[name], shown) for name in step.headers} == step.headers, step.command


def test_the_worked_exchange_shows_both_hops_a_resume_and_a_refusal() -> None:
    asked = [(Curl.of(step.command), step) for step in steps()]

    assert {curl.port for curl, _ in asked} == {3001, 8080}
    assert any("after=" in curl.path for curl, _ in asked)
    assert any(step.status >= 400 for _, step in asked)
