"""The routes and the byte level, held to the recordings of plain routes."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from services.runtime.settings import Address
from services.simulator.guard import may_ask
from services.simulator.routes import ROUTES, WITNESS
from services.simulator.simulator import Simulator
from tests.eventually import soon
from tests.simulator.reader import Reader, ask, chat, generate, get, post
from tests.simulator.shape import shape

CAPTURES = Path(__file__).parents[1] / "captures"


def recorded(case: str) -> tuple[Any, dict[str, str], int, bytes]:
    """Return request, header fields, status and body of a recording."""
    first, *reads, _ = [json.loads(line) for line in (CAPTURES / f"{case}.jsonl").read_text().split("\n") if line]
    response = first["response"]
    body = "".join(read["chunk"] for read in reads).encode()
    return first["request"], response["headers"], int(response["status"].split()[1]), body


@pytest.mark.parametrize(
    "case",
    ["root_get", "root_head", "version", "head_version", "head_tags", "notfound_route", "method_not_allowed",
     "head_generate", "trailing_slash", "trailing_slash_post", "show_unknown", "host_forbidden", "origin_forbidden",
     "ps_none"],
)  # fmt: skip
async def test_a_plain_route_answers_as_recorded(case: str, simulator: Simulator) -> None:
    request, fields, status, body = recorded(case)

    reader = await Reader.connect(simulator.address.port)
    reader.send(_bytes_of(request))
    seen = await reader.response(method=request["method"])
    reader.leave()

    assert (seen.status, seen.body) == (status, body)
    assert list(seen.fields) == list(fields)
    assert {name: value for name, value in seen.fields.items() if name != "Date"} == {
        name: value for name, value in fields.items() if name != "Date"
    }


@pytest.mark.parametrize("case", ["tags", "ps_loaded"])
async def test_lists_have_the_recorded_fields(case: str, simulator: Simulator) -> None:
    await ask(simulator, generate("story"))
    request, _, _, body = recorded(case)

    seen = await ask(simulator, _bytes_of(request))

    assert [shape(model) for model in seen.lines[0]["models"][:1]] == [shape(json.loads(body)["models"][0])]


async def test_show_has_the_recorded_fields_and_what_the_model_can_do(simulator: Simulator) -> None:
    _, _, _, body = recorded("show_thinker")

    seen = await ask(simulator, post("/api/show", {"model": "thinker"}))

    assert list(seen.lines[0]) == list(json.loads(body))
    assert seen.lines[0]["capabilities"] == json.loads(body)["capabilities"]


async def test_tags_lists_the_plain_simulator_first_and_a_model_that_only_embeds(simulator: Simulator) -> None:
    models = (await ask(simulator, get("/api/tags"))).lines[0]["models"]

    assert models[0]["name"] == "sim:latest"
    assert ["embedding"] in [model["capabilities"] for model in models]


@pytest.mark.parametrize("path", sorted(set(ROUTES) - {"/", WITNESS}))
@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
async def test_a_route_takes_its_methods_and_names_them_to_the_others(
    method: str, path: str, simulator: Simulator
) -> None:
    seen = await ask(simulator, get(path, method=method))

    assert (seen.status == 405) is (method not in ROUTES[path])
    assert seen.fields.get("Allow") == (None if method in ROUTES[path] else ROUTES[path][0])


@pytest.mark.parametrize(
    "path", ["/api/pull", "/api/delete", "/v1/chat/completions", "/metrics", "//", "/api/../api/tags"]
)
async def test_other_paths_are_no_routes_and_are_witnessed(path: str, simulator: Simulator) -> None:
    seen = await ask(simulator, post(path, {"model": "sim"}))

    assert seen.status == 404
    assert [call.path for call in simulator.witness.calls] == [path]


async def test_a_connection_serves_one_request_after_another(simulator: Simulator) -> None:
    reader = await Reader.connect(simulator.address.port)
    ends = []
    for request in (chat("sim:tokens=3"), get("/api/tags"), generate("story", stream=False), get("/api/version")):
        reader.send(request)
        ends.append((await reader.response()).end)
    reader.leave()

    assert ends == ["whole"] * 4
    assert simulator.witness.connections_total == 1


async def test_pipelined_requests_are_answered_in_order(simulator: Simulator) -> None:
    reader = await Reader.connect(simulator.address.port)
    reader.send(chat("sim:tokens=3,rate=200") + get("/api/version") + chat("sim:tokens=2"))
    first, second, third = [await reader.response() for _ in range(3)]
    reader.leave()

    assert (len(first.lines), list(second.lines[0]), len(third.lines)) == (4, ["version"], 3)


async def test_connection_close_is_said_back_and_done(simulator: Simulator) -> None:
    reader = await Reader.connect(simulator.address.port)
    reader.send(post("/api/chat", {"model": "sim:tokens=2", "messages": [{"role": "user"}]}, "Connection: close"))
    seen = await reader.response()
    rest = await reader.some()
    reader.leave()

    assert (seen.fields["Connection"], seen.end, rest) == ("close", "whole", b"")


async def test_a_chunked_request_body_is_taken(simulator: Simulator) -> None:
    body = b'{"model":"sim:tokens=4","prompt":"x"}'
    head = b"POST /api/generate HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"

    seen = await ask(
        simulator, head + b"5\r\n" + body[:5] + b"\r\n%x\r\n" % (len(body) - 5) + body[5:] + b"\r\n0\r\n\r\n"
    )

    assert (seen.status, len(seen.lines)) == (200, 5)


@pytest.mark.parametrize("piece", [1, 2, 7, 50])
async def test_a_request_in_pieces_is_the_same_request(piece: int, simulator: Simulator) -> None:
    request = chat("sim:tokens=2")
    reader = await Reader.connect(simulator.address.port)
    for start in range(0, len(request), piece):
        reader.send(request[start : start + piece])
        await asyncio.sleep(0)  # a turn of the loop, in which the piece is read
    seen = await reader.response()
    reader.leave()

    assert len(seen.lines) == 3


@pytest.mark.parametrize("bad", [b"this is no HTTP\r\n\r\n", b"GET / HTTP/1.1\r\nHost : x y\x00\r\n\r\n"])
async def test_what_is_no_request_is_refused_and_closed(bad: bytes, simulator: Simulator) -> None:
    seen = await ask(simulator, bad)

    assert (seen.status, seen.body, seen.fields["Connection"]) == (400, b"400 Bad Request", "close")


async def test_a_header_beyond_the_bound_is_refused(simulator: Simulator) -> None:
    many = b"".join(b"X-%d: %b\r\n" % (index, b"y" * 60_000) for index in range(20))

    seen = await ask(simulator, b"GET / HTTP/1.1\r\nHost: localhost\r\n" + many + b"\r\n")

    assert seen.status == 400


async def test_a_body_that_waits_to_be_asked_for_is_asked_for(simulator: Simulator) -> None:
    request = post("/api/generate", {"model": "sim:tokens=1", "prompt": "x"}, "Expect: 100-continue")
    head, _, body = request.partition(b"\r\n\r\n")
    reader = await Reader.connect(simulator.address.port)
    reader.send(head + b"\r\n\r\n")
    asked = await reader.until(b"\r\n\r\n")
    reader.send(body)
    seen = await reader.response()
    reader.leave()

    assert asked == b"HTTP/1.1 100 Continue\r\n\r\n"
    assert seen.status == 200


async def test_a_reader_that_does_not_read_stops_the_making_and_gets_everything_in_the_end(
    simulator: Simulator,
) -> None:
    """25 MB, more than any socket holds; a server that went on making would be done within the turns waited."""
    reader = await Reader.connect(simulator.address.port)
    reader.send(generate("sim:tokens=12000,size=2000", options={"num_predict": 30_000}))
    await soon(lambda: bool(simulator.witness.calls) and simulator.witness.calls[0].bytes_sent > 1 << 20)
    for _ in range(2000):
        await asyncio.sleep(0)
    call = simulator.witness.calls[0]
    made_unread = call.tokens
    seen = await reader.response(30)
    reader.leave()

    assert made_unread < 12_000
    assert (len(seen.chunks), seen.end) == (12_001, "whole")


async def test_stopping_cuts_every_connection_without_a_last_chunk(simulator: Simulator) -> None:
    streaming, waiting = [await Reader.connect(simulator.address.port) for _ in range(2)]
    streaming.send(chat("sim:tokens=5000,rate=500"))
    waiting.send(chat("story:fault=mute"))
    await soon(lambda: len(simulator.witness.calls) == 2 and simulator.witness.calls[0].tokens > 3)
    await simulator.stop()
    cut, silent = await streaming.response(), await waiting.response()
    for reader in (streaming, waiting):
        reader.leave()

    assert (cut.status, cut.end) == (200, "fin")
    assert (silent.raw, silent.end) == (b"", "fin")
    assert {call.end for call in simulator.witness.calls} == {"stopped"}


async def test_cutting_connections_leaves_the_listener(simulator: Simulator) -> None:
    reader = await Reader.connect(simulator.address.port)
    reader.send(chat("sim:fault=mute"))
    await soon(lambda: simulator.witness.calls_now == 1)
    simulator.cut_connections()
    cut = await reader.response()
    reader.leave()

    assert (cut.raw, cut.end) == (b"", "fin")
    assert (await ask(simulator, chat("sim:tokens=1"))).end == "whole"


@pytest.mark.parametrize("host", ["localhost:1", "127.0.0.1", "[::1]:80", "10.1.2.3", "box.local", "a.localhost", ""])
def test_names_of_this_machine_and_network_may_ask(host: str) -> None:
    assert may_ask({"host": host}, Address("127.0.0.1", 11434))


@pytest.mark.parametrize("host", ["example.com", "8.8.8.8", "local.example", "[::1", "localhost.example:80"])
def test_other_hosts_may_not_unless_it_listens_for_all(host: str) -> None:
    assert not may_ask({"host": host}, Address("127.0.0.1", 11434))
    assert may_ask({"host": host}, Address("0.0.0.0", 11434))


@pytest.mark.parametrize(
    ("origin", "heard"),
    [
        ("http://localhost:3000", True), ("https://127.0.0.1", True), ("http://me.local:1", True), ("app://x", True),
        ("https://example.com", False), ("null", False), ("http://localhost.example", False), ("http://[", False),
    ],
)  # fmt: skip
def test_an_origin_is_heard_if_it_is_local_or_the_host_itself(origin: str, heard: bool) -> None:
    assert may_ask({"host": "me.local:1", "origin": origin}, Address("127.0.0.1", 11434)) is heard


def _bytes_of(request: Any) -> bytes:
    fields = "".join(f"{name}: {value}\r\n" for name, value in request["headers"].items())
    body = json.dumps(request["body"], separators=(",", ":")).encode() if request["body"] != "" else b""
    fields = "".join(f"{line}\r\n" for line in fields.split("\r\n") if line and "Content-Length" not in line)
    length = f"Content-Length: {len(body)}\r\n" if body else ""
    return f"{request['method']} {request['path']} HTTP/1.1\r\n{fields}{length}\r\n".encode() + body
