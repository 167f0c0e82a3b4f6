"""What an attacker sends, and that it ends at our door: S2 to S6, T5 and T18 of docs/faults.md, and other names."""

import asyncio
import json
import re
import socket
from collections.abc import Iterator
from typing import Any, Final

import pytest

from services.wire.events import Code
from tests.behaviour.gate import CASE_GROWTH_BYTES, common_gate
from tests.behaviour.refusals import GENERATE, asking, parsed, refused, refused_as_ollama
from tests.behaviour.script import scripted
from tests.behaviour.smuggling import FRAMES, SECOND
from tests.chain import Chain, Server, running_chain
from tests.reader import Answer, Client, raw_exchange

CAP: Final = 8192
AT_ONCE: Final = 32
POLLED: Final = frozenset({("GET", "/api/version"), ("GET", "/api/tags"), ("GET", "/api/ps")})
ADMIN: Final = {
    "pull": "POST", "create": "POST", "push": "POST", "delete": "DELETE", "copy": "POST", "blobs/sha256:0f1e2d": "POST",
}  # fmt: skip
SPELLINGS: Final = (
    *("/api/../api/{0}", "/api/%2e%2e/api/{0}", "/api/%2E%2e/api/{0}", "/api/.%2e/api/{0}", "/api/%252e%252e/api/{0}"),
    *("/api/chat/../{0}", "/api/chat/%2e%2e/{0}", "/api/chat/..%2f{0}", "/api/chat/..%2F{0}", "/api/chat/%2e%2e%2f{0}"),
    *("/api/tags/../{0}", "/api/tags/..;/{0}", "/api/tags;/../{0}", "/api/tags%00/../{0}", "/api/streams/../{0}"),
    *("//api/{0}", "/api//{0}", "/./api/./{0}", "/api/./{0}", "/api/{0}/", "/api/{0}//", "/api/{0}/."),
    *(
        "/api%2f{0}",
        "/api%2F{0}",
        "/api%5c{0}",
        "/api\\{0}",
        "/..\\api\\{0}",
        "/api/{0};x=1",
        "/api/{0};",
        "/;/api/{0}",
    ),
    *("/api/{0}%00", "/api/{0}%00.json", "/api/%00/{0}", "/api/{0}%20", "/api/{0}%0a", "/api/{0}%0d%0ax", "/api/{0}#"),
    *("/API/{0}", "/Api/{0}", "/api/{1}", "/api/chat/stream/../../{0}", "/livez/../api/{0}", "/%61pi/{0}", "/api/{2}"),
    *("http://localhost/api/{0}", "http://127.0.0.1:11434/api/{0}", "https://evil.example/api/{0}", "//evil/api/{0}"),
)


@pytest.fixture(scope="module")
def chain() -> Iterator[Chain]:
    simulator, named = {"SCRIPT": "rate=0", "NUM_PARALLEL": "64"}, {"HOSTS": "ollama.internal"}
    with (
        running_chain(simulator=simulator, proxy=named, gateway=named, log_level="debug") as chain,
        common_gate(chain, growth_bytes=CASE_GROWTH_BYTES),
    ):
        yield chain


@pytest.fixture(params=["gateway", "proxy"])
def server(request: pytest.FixtureRequest, chain: Chain) -> Server:
    """Both of them: who is inside the private network is asked for no less."""
    server: Server = getattr(chain, request.param)
    return server


def calls_beyond_the_polls(chain: Chain, after: int) -> list[tuple[str, str]]:
    """What reached the model server since ``after`` that nobody but a client can have caused."""
    calls = [(call["method"], call["path"]) for call in chain.witness()["calls"] if call["id"] > after]
    return [call for call in calls if call not in POLLED]


def newest_call(chain: Chain) -> int:
    return max(int(call["id"]) for call in chain.witness()["calls"])


def spelled() -> list[tuple[str, str]]:
    """Method and target of each forbidden call, each in every spelling."""
    return [
        (method, spelling.format(name, name.upper(), f"%{ord(name[0]):x}{name[1:]}"))
        for name, method in ADMIN.items()
        for spelling in SPELLINGS
    ]


async def test_no_spelling_of_a_path_reaches_the_model_servers_administration(server: Server, chain: Chain) -> None:
    """S2: of more than 200, absolute-form among them; paths upstream come from a table, never from a request."""
    targets = spelled()
    before = newest_call(chain)
    gate = asyncio.Semaphore(AT_ONCE)

    async def ask(method: str, target: str) -> Answer:
        request = f"{method} {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{{}}"
        async with gate:
            return parsed(await raw_exchange("127.0.0.1", server.port, request.encode()))

    answers = await asyncio.gather(*(ask(method, target) for method, target in targets))

    assert len(set(targets)) > 200
    let_in = [target for target, answer in zip(targets, answers, strict=True) if answer.status not in {400, 404}]
    assert let_in == []
    assert calls_beyond_the_polls(chain, before) == []


@pytest.mark.parametrize("name", ADMIN)
async def test_administration_is_not_found_however_grand_the_key(name: str, server: Server, chain: Chain) -> None:
    """S3."""
    before = newest_call(chain)
    async with Client(server.url) as asking_in:
        key = {"Authorization": "Bearer sk_admin_00000000_root"}
        async with asking_in.open(ADMIN[name], f"/api/{name}", {"model": "m", "name": "m"}, key) as reading:
            answer = await reading.until_end()

    if server is chain.proxy:
        refused_as_ollama(answer, Code.NOT_FOUND)
    else:
        refused(answer, Code.NOT_FOUND)
    assert calls_beyond_the_polls(chain, before) == []


# --- frames that two parsers read differently


@pytest.mark.parametrize("what", FRAMES)
async def test_a_frame_that_two_parsers_read_differently_is_refused_once_and_closes(
    what: str, server: Server, chain: Chain
) -> None:
    """S4: what stands behind it is never answered."""
    before = newest_call(chain)
    answers = await raw_exchange("127.0.0.1", server.port, FRAMES[what] + SECOND)

    assert len(re.findall(rb"^HTTP/", answers, re.MULTILINE)) <= 1
    assert not answers or 400 <= parsed(answers).status < 500
    assert b'"ok"' not in answers
    assert calls_beyond_the_polls(chain, before) == []


async def test_a_request_of_http_1_0_gets_its_answer_and_a_close(server: Server) -> None:
    answer = parsed(await raw_exchange("127.0.0.1", server.port, b"GET /livez HTTP/1.0\r\nHost: localhost\r\n\r\n"))

    assert (answer.status, json.loads(answer.body)) == (200, {"status": "ok"})


# --- fields that would change the server for everybody

FORBIDDEN: Final[dict[str, Any]] = {
    "api_base": "http://evil.example", "base_url": "http://evil.example", "endpoint": "x", "url": "x", "proxy": "x",
    "headers": {"X": "1"}, "keep_alive": -1, "template": "{{ .Prompt }}", "context": [1, 2], "logprobs": True,
    "Keep_Alive": -1, "KEEP_ALIVE": 0, "shift": False, "truncate": False, "_debug_render_only": True, "width": 9,
}  # fmt: skip
FORBIDDEN_OPTIONS: Final[dict[str, Any]] = {
    "num_gpu": 99, "num_ctx": 131072, "num_batch": 1, "main_gpu": 1, "num_thread": 1, "use_mmap": False, "Num_Ctx": 9,
    "num_keep": 4, "draft_num_predict": 1, "low_vram": True, "new": 1,
}  # fmt: skip


@pytest.mark.parametrize("name", FORBIDDEN)
async def test_the_gateway_refuses_a_field_that_is_not_offered_by_its_name(name: str, client: Client) -> None:
    """S5."""
    error = refused(await client.ask(GENERATE, asking("sim", **{name: FORBIDDEN[name]})), Code.INVALID_REQUEST)

    assert name in error["message"]


@pytest.mark.parametrize("name", FORBIDDEN_OPTIONS)
async def test_the_gateway_refuses_an_option_that_is_not_offered_by_its_name(name: str, client: Client) -> None:
    """S5: any difference of a runner's option reloads the model for everybody."""
    answer = await client.ask(GENERATE, asking("sim", options={name: FORBIDDEN_OPTIONS[name]}))

    assert name in refused(answer, Code.INVALID_REQUEST)["message"]


async def test_the_proxy_drops_what_is_not_offered_and_sends_exactly_the_rest(chain: Chain) -> None:
    """S5: existing clients of Ollama send such fields, so they are no error here."""
    model = scripted(tokens=2).name
    offered = {"temperature": 0.5, "top_k": 3, "seed": 7, "stop": ["x"], "num_predict": 9}
    body = asking(model, system="be brief", think=False, options={**offered, **FORBIDDEN_OPTIONS}, **FORBIDDEN)
    async with Client(chain.proxy.url) as direct:
        answer = await direct.ask(GENERATE, body)
    (call,) = chain.calls(model)

    assert answer.reason == "stop"
    assert call["body"] == {
        **asking(model), "system": "be brief", "think": False, "options": offered, "stream": True,
    }  # fmt: skip


# --- what a model may be made to write

WISHES: Final[list[tuple[Any, int]]] = [
    (10**9, CAP), (2**31 - 1, CAP), (CAP + 1, CAP), (CAP, CAP), (5, 5), (1, 1), (0, CAP), (-1, CAP), (-2, CAP),
    (None, CAP),
]  # fmt: skip


@pytest.mark.parametrize(("wished", "sent"), WISHES)
async def test_num_predict_is_always_sent_and_never_beyond_the_cap(
    wished: Any, sent: int, chain: Chain, client: Client
) -> None:
    """S6."""
    model = scripted(tokens=1).name
    await client.chat(model, options={"num_predict": wished})
    (call,) = chain.calls(model)

    assert call["body"]["options"] == {"num_predict": sent}


async def test_num_predict_is_sent_where_there_are_no_options(chain: Chain, client: Client) -> None:
    """S6."""
    models = [scripted(tokens=1).name for _ in range(2)]
    await asyncio.gather(client.chat(models[0]), client.chat(models[1], options=None))

    assert [chain.calls(model)[0]["body"]["options"] for model in models] == [{"num_predict": CAP}] * 2


@pytest.mark.parametrize("wished", ["1e9", "10", 3.5, True, [], {}, 10**30, 1e308])
async def test_num_predict_that_is_no_whole_number_is_refused_by_name(wished: Any, client: Client) -> None:
    """S6."""
    error = refused(await client.chat("sim", options={"num_predict": wished}), Code.INVALID_REQUEST)

    assert "num_predict" in error["message"]


# --- names that are not ours

HOSTILE: Final = (
    *(
        "evil.example",
        "evil.example:3001",
        "localhost.evil.example",
        "127.0.0.1.evil.example",
        "localhost@evil.example",
    ),
    *("10.0.0.1", "[::2]", "localhost, evil.example", "evil.example/localhost", "a/health#", "localhost:x"),
    *("", "127.0.0.1.", "2130706433", "local host"),
)


@pytest.mark.parametrize("host", HOSTILE)
async def test_a_hostile_host_is_misdirected_everywhere_but_at_the_probes(
    host: str, server: Server, chain: Chain
) -> None:
    """T3: a rebound page's requests carry its own name; a probe sends an address, and learns nothing."""
    before = newest_call(chain)

    async def ask(request_line: str) -> Answer:
        body = '{"model":"sim","prompt":"hi"}'
        head = f"{request_line} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nContent-Type: application/json\r\n"
        request = f"{head}Content-Length: {len(body)}\r\n\r\n{body}".encode()
        return parsed(await raw_exchange("127.0.0.1", server.port, request))

    turned_away = await asyncio.gather(ask(f"POST {GENERATE}"), ask("GET /health"), ask("GET /api/tags"), ask("GET /"))
    probed = await asyncio.gather(ask("GET /livez"), ask("GET /readyz"))

    assert {answer.status for answer in turned_away} == {421}
    assert [answer.status for answer in probed] == [200, 200]
    assert calls_beyond_the_polls(chain, before) == []


OURS: Final = (
    *("localhost", "LOCALHOST:1", "localhost.", "app.localhost", "127.0.0.1", "127.8.9.1:80", "[::1]", "[::1]:3001"),
    *("0.0.0.0:8080", "[::]", "[0:0:0:0:0:0:0:1]", "host.docker.internal:8080", socket.gethostname()),
    "ollama.internal:8080",
)


@pytest.mark.parametrize("host", OURS)
async def test_a_name_of_this_machine_or_the_operator_s_is_ours(host: str, server: Server) -> None:
    async with Client(server.url) as client:
        answer = await client.get("/health", {"Host": host})

    assert answer.status == 200


@pytest.mark.parametrize("origin", ["http://localhost:3000", "http://evil.example", "null", "app://x", ""])
async def test_the_proxy_answers_no_browser(origin: str, chain: Chain) -> None:
    before = newest_call(chain)
    async with Client(chain.proxy.url) as direct:
        started = await direct.ask(GENERATE, asking("sim"), {"Origin": origin})
        listed = await direct.get("/api/tags", {"Origin": origin})

    refused(started, Code.FORBIDDEN)
    refused_as_ollama(listed, Code.FORBIDDEN)
    assert not [name for answer in (started, listed) for name in answer.headers if name.startswith("Access-Control")]
    assert calls_beyond_the_polls(chain, before) == []
