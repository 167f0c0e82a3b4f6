"""Each fault as it looks on a raw socket, in a five-token answer broken after its third."""

import asyncio
import json
from typing import Final

import pytest

from services.simulator.faults import ERROR_WORDS
from services.simulator.prose import prose
from services.simulator.settings import Settings
from services.simulator.simulator import Simulator, running_simulator
from tests.eventually import soon
from tests.simulator.reader import ANY_PORT, Reader, Seen, ask, chat, generate, get

SILENCE_S: Final = 0.15  # long enough for what is on its way; a fault that were not silent would end sooner
TEXT: Final = "".join(prose(5))
HEAD: Final = "".join(prose(3))


async def broken(simulator: Simulator, fault: str, silence_s: float = 5.0) -> Seen:
    return await ask(simulator, chat(f"sim:tokens=5,at=3,fault={fault}"), silence_s)


def is_done(seen: Seen) -> bool:
    return b'"done":true' in seen.body


@pytest.mark.parametrize(
    ("fault", "end"),
    [
        ("reset", "reset"), ("reset_at_once", "reset"), ("close", "fin"), ("truncate", "whole"),
        ("until_close_cut", "fin"), ("length_cut", "whole"), ("stall", "silent"),
    ],
)  # fmt: skip
async def test_an_answer_is_broken_off_after_exactly_the_tokens_asked_for(
    fault: str, end: str, simulator: Simulator
) -> None:
    seen = await broken(simulator, fault, SILENCE_S if end == "silent" else 5.0)

    assert (seen.status, seen.text, seen.end, is_done(seen)) == (200, HEAD, end, False)


@pytest.mark.parametrize("fault", ["reset", "reset_at_once", "close", "truncate", "error", "until_close_cut"])
async def test_at_zero_nothing_is_said_before_the_fault(fault: str, simulator: Simulator) -> None:
    seen = await ask(simulator, generate(f"sim:tokens=5,at=0,fault={fault}"))

    assert seen.text == ""
    assert not is_done(seen)


@pytest.mark.parametrize("fault", ["reset", "close", "truncate", "error", "stall", "malformed"])
async def test_a_fault_beyond_the_last_token_leaves_the_answer_whole(fault: str, simulator: Simulator) -> None:
    seen = await ask(simulator, chat(f"sim:tokens=5,at=6,fault={fault}"))

    assert (seen.text, seen.end, is_done(seen)) == (TEXT, "whole", True)


async def test_cut_ends_inside_a_chunk_and_inside_a_line(simulator: Simulator) -> None:
    seen = await broken(simulator, "cut")

    *_, announced, half = seen.raw.split(b"\r\n")
    assert seen.end == "fin"
    assert 0 < len(half) < int(announced, 16)
    assert half.startswith(b'{"model":')


async def test_reset_done_says_everything_and_resets(simulator: Simulator) -> None:
    seen = await broken(simulator, "reset_done")

    assert (seen.text, seen.end, is_done(seen)) == (TEXT, "reset", True)


async def test_until_close_has_neither_length_nor_chunks_and_is_whole(simulator: Simulator) -> None:
    seen = await broken(simulator, "until_close")

    assert (seen.text, seen.end, is_done(seen)) == (TEXT, "fin", True)
    assert seen.fields["Connection"] == "close"
    assert not {"Transfer-Encoding", "Content-Length"} & set(seen.fields)


async def test_a_stall_with_an_end_goes_on_as_if_nothing_had_happened(simulator: Simulator) -> None:
    seen = await ask(simulator, chat("sim:tokens=5,at=3,fault=stall,for=0.05"))

    assert (seen.text, seen.end, is_done(seen)) == (TEXT, "whole", True)
    assert seen.lines[-1]["eval_duration"] >= 50_000_000


@pytest.mark.parametrize("words", list(ERROR_WORDS))
async def test_an_error_line_comes_under_status_200_with_a_proper_end(words: str, simulator: Simulator) -> None:
    seen = await ask(simulator, chat(f"sim:tokens=5,at=3,fault=error,words={words}"))

    assert (seen.status, seen.text, seen.end) == (200, HEAD, "whole")
    assert seen.lines[-1] == {"error": ERROR_WORDS[words]}


async def test_an_error_without_a_stream_is_status_500(simulator: Simulator) -> None:
    seen = await ask(simulator, chat("sim:fault=error", stream=False))

    assert (seen.status, seen.lines) == (500, [{"error": ERROR_WORDS["crash"]}])


@pytest.mark.parametrize("fault", ["malformed", "nan", "bad_utf8"])
async def test_lines_that_no_reader_can_parse_stand_between_sound_ones(fault: str, simulator: Simulator) -> None:
    seen = await ask(simulator, chat(f"sim:tokens=5,at=3,fault={fault},count=4"))

    bad = [line for line in seen.body.split(b"\n") if line and not _is_strict_json(line)]
    sound = b"\n".join(line for line in seen.body.split(b"\n") if _is_strict_json(line))
    assert len(bad) == 4
    assert (Seen(body=sound).text, is_done(seen)) == (TEXT, True)


async def test_lines_that_are_no_objects_stand_between_sound_ones(simulator: Simulator) -> None:
    lines = (await ask(simulator, chat("sim:tokens=5,at=3,fault=not_object,count=5"))).lines

    assert lines[3:8] == [["a list"], "a word", 42, None, True]
    assert "".join(line["message"]["content"] for line in [*lines[:3], *lines[8:]]) == TEXT


async def test_wrong_types_stand_in_fields_that_readers_use(simulator: Simulator) -> None:
    lines = (await ask(simulator, chat("sim:tokens=5,at=3,fault=wrong_type,count=6"))).lines

    assert [line.get("response") for line in lines[3:6]] == [5, ["a"], {"a": 1}]
    assert lines[8]["done"] == "yes"


async def test_a_deep_line_is_nested_ten_thousand_times(simulator: Simulator) -> None:
    seen = await broken(simulator, "deep")

    assert b"[" * 10_000 + b"]" * 10_000 in seen.body
    assert is_done(seen)


async def test_duplicate_keys_are_wrong_first_and_right_last(simulator: Simulator) -> None:
    seen = await broken(simulator, "duplicate_keys")

    assert seen.body.count(b'"content":"wrong","content":') == 5
    assert seen.text == TEXT


@pytest.mark.parametrize("size", [1, 70_000, 9 << 20])
async def test_a_huge_line_has_the_size_asked_for_and_no_newline(size: int, simulator: Simulator) -> None:
    seen = await ask(simulator, chat(f"sim:tokens=5,at=3,fault=huge_line,bytes={size}"))

    assert len(seen.body.split(b"\n")[3]) == size
    assert (seen.body.count(b"\n"), seen.end) == (3, "whole")


async def test_an_endless_answer_passes_num_predict_and_stops_when_its_reader_leaves(simulator: Simulator) -> None:
    reader = await Reader.connect(simulator.address.port)
    reader.send(chat("sim:fault=endless,rate=2000", options={"num_predict": 3}))
    await reader.some()
    await soon(lambda: simulator.witness.calls[0].tokens > 50)
    reader.leave()
    await soon(lambda: simulator.witness.calls_now == 0)

    assert simulator.witness.calls[0].tokens_after_left == 0


async def test_a_big_final_line_carries_a_context_of_the_size_asked_for(simulator: Simulator) -> None:
    generated = await ask(simulator, generate("sim:tokens=5,fault=big_final,bytes=600000"))

    last = generated.body.split(b"\n")[-2]
    assert 600_000 <= len(last) < 601_000
    assert last.count(b'"context":') == 1
    assert json.loads(last)["done"] is True


async def test_huge_numbers_stand_in_the_final_line(simulator: Simulator) -> None:
    seen = await broken(simulator, "huge_numbers")

    assert all(part in seen.body for part in (b'"eval_count":1e308', b'"eval_duration":-0', b'"total_duration":-1'))


async def test_an_odd_reason_is_one_that_nobody_knows(simulator: Simulator) -> None:
    assert (await broken(simulator, "odd_reason")).lines[-1]["done_reason"] == "weather"


async def test_twice_ends_twice_and_after_done_goes_on(simulator: Simulator) -> None:
    twice, after = await broken(simulator, "twice"), await broken(simulator, "after_done")

    assert [line.get("done") for line in twice.lines[-2:]] == [True, True]
    assert [line.get("done") for line in after.lines[-3:]] == [True, False, None]


async def test_line_ends_can_be_missing_doubled_or_crlf_and_a_mark_may_come_first(simulator: Simulator) -> None:
    bare, blank, crlf, bom = [await broken(simulator, fault) for fault in ("no_newline", "blank", "crlf", "bom")]

    assert bare.body.endswith(b"}")
    assert blank.body.count(b"\n\n") == crlf.body.count(b"}\r\n") == 6
    assert bom.body.startswith(b"\xef\xbb\xbf{")
    assert bare.text == blank.text == crlf.text == TEXT


async def test_a_header_stall_sends_the_header_alone(simulator: Simulator) -> None:
    silent = await broken(simulator, "header_stall", SILENCE_S)
    whole = await broken(simulator, "header_stall,for=0.05")

    assert (silent.status, silent.body, silent.end) == (200, b"", "silent")
    assert (whole.text, whole.end) == (TEXT, "whole")


async def test_a_slow_header_comes_byte_by_byte_and_then_the_answer(simulator: Simulator) -> None:
    reader = await Reader.connect(simulator.address.port)
    reader.send(chat("sim:tokens=5,fault=slow_header,for=0.1"))
    first = await reader.some()
    seen = await reader.response(method="HEAD")
    reader.leave()

    assert len(first) < 20
    assert (first + seen.raw).startswith(b"HTTP/1.1 200 OK\r\n")


async def test_mute_sends_not_one_byte(simulator: Simulator) -> None:
    silent = await broken(simulator, "mute", SILENCE_S)
    whole = await broken(simulator, "mute,for=0.05")

    assert (silent.raw, silent.end) == (b"", "silent")
    assert (whole.text, whole.end) == (TEXT, "whole")


async def test_while_a_runner_is_frozen_ps_does_not_answer_and_tags_does(simulator: Simulator) -> None:
    frozen, asked, gone = [await Reader.connect(simulator.address.port) for _ in range(3)]
    frozen.send(chat("sim:tokens=5,fault=freeze"))
    await soon(lambda: simulator.witness.calls_now == 1)
    await soon(lambda: simulator.witness.calls[0].permitted_at is not None)
    asked.send(get("/api/ps"))
    gone.send(get("/api/ps"))
    tags = await ask(simulator, get("/api/tags"))
    await soon(lambda: simulator.witness.calls_now == 3)
    gone.leave()
    await soon(lambda: simulator.witness.calls_now == 2)
    frozen.leave()
    thawed = await asked.response()

    assert tags.status == thawed.status == 200
    assert [call.end for call in simulator.witness.calls if call.path == "/api/ps"] == ["answered", "left"]


async def test_a_bad_chunk_size_stands_where_a_number_should(simulator: Simulator) -> None:
    reader = await Reader.connect(simulator.address.port)
    reader.send(chat("sim:tokens=5,at=3,fault=bad_chunk"))
    seen = await reader.until(b"\r\nthis is no size\r\n")
    reader.leave()

    assert seen.count(b'"done":false') == 3


async def test_trailers_of_the_size_asked_for_follow_the_last_chunk(simulator: Simulator) -> None:
    seen = await broken(simulator, "trailers,bytes=100000")

    trailers = seen.raw.partition(b"\r\n0\r\n")[2]
    assert (seen.text, seen.end) == (TEXT, "whole")
    assert len(trailers) > 100_000
    assert trailers.endswith(b"t\r\n\r\n")


async def test_refuse_closes_without_a_byte_and_garbage_is_no_http(simulator: Simulator) -> None:
    refused = await broken(simulator, "refuse")
    reader = await Reader.connect(simulator.address.port)
    reader.send(chat("sim:fault=garbage"))
    garbage, end = await reader.some(), await reader.some()
    reader.leave()

    assert (refused.raw, refused.end) == (b"", "fin")
    assert (b"HTTP/1" in garbage, end) == (False, b"")


async def test_a_redirect_points_to_the_host_asked_for(simulator: Simulator) -> None:
    seen = await ask(simulator, chat("sim:fault=redirect,to=127.0.0.1:9"))

    assert (seen.status, seen.fields["Location"]) == (302, "http://127.0.0.1:9/api/generate")


async def test_queue_full_is_503_in_ollamas_words_without_retry_after(simulator: Simulator) -> None:
    seen = await broken(simulator, "queue_full")

    assert (seen.status, "Retry-After" in seen.fields) == (503, False)
    assert seen.lines == [{"error": "server busy, please try again.  maximum pending requests exceeded"}]


@pytest.mark.parametrize("status", [429, 500, 502, 503])
async def test_a_status_comes_for_the_first_calls_of_that_very_name_only(status: int, simulator: Simulator) -> None:
    name, other = f"sim:tokens=5,status={status},retry_after=2,times=2", f"sim:tokens=5,status={status},times=2"

    seen = [await ask(simulator, chat(name)) for _ in range(3)]

    assert [one.status for one in seen] == [call.status for call in simulator.witness.calls] == [status, status, 200]
    assert seen[0].fields["Retry-After"] == "2"
    assert seen[2].text == TEXT
    assert (await ask(simulator, chat(other))).status == status


async def test_a_fault_with_times_heals(simulator: Simulator) -> None:
    seen = [await ask(simulator, chat("sim:tokens=5,at=3,fault=reset,times=1")) for _ in range(2)]

    assert [one.end for one in seen] == ["reset", "whole"]


async def test_generation_goes_on_without_its_reader_where_the_server_is_deaf(simulator: Simulator) -> None:
    reader = await Reader.connect(simulator.address.port)
    reader.send(chat("sim:tokens=100,rate=500,fault=deaf"))
    await reader.some()
    reader.leave()
    await soon(lambda: simulator.witness.calls_now == 0)

    call = simulator.witness.calls[0]
    assert (call.tokens, call.end) == (100, "left")
    assert 0 < call.tokens_after_left < 100


@pytest.mark.parametrize("piece", [1, 2, 3, 7, 64])
async def test_pieces_change_nothing_but_the_writes(piece: int, simulator: Simulator) -> None:
    seen = await ask(simulator, generate(f"sim:tokens=5,piece={piece}"))

    assert (seen.text, seen.end, is_done(seen)) == (TEXT, "whole", True)


async def test_a_piece_arrives_by_itself(simulator: Simulator) -> None:
    """The reader shares the event loop, so that it reads between two sends."""
    received: list[bytes] = []

    class Listening(asyncio.Protocol):
        def data_received(self, data: bytes) -> None:
            received.append(data)

    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_connection(Listening, "127.0.0.1", simulator.address.port)
    transport.write(generate("sim:tokens=2,piece=5"))
    await soon(lambda: b"".join(received).endswith(b"0\r\n\r\n"))
    transport.close()

    assert len(received) > 20


async def test_a_burst_is_several_lines_in_one_write(simulator: Simulator) -> None:
    reader = await Reader.connect(simulator.address.port)
    reader.send(chat("sim:tokens=12,rate=200,burst=4"))
    first = await reader.some()
    reader.leave()

    assert first.count(b'"done":false') in {1, 4}


async def test_a_default_fault_breaks_every_name_that_says_nothing_else() -> None:
    async with running_simulator(Settings(listen=ANY_PORT, script="rate=0,fault=truncate,at=2")) as simulator:
        plain, other = await ask(simulator, chat("story")), await ask(simulator, chat("story:fault=queue_full"))

    assert (plain.text, is_done(plain)) == ("The keeper", False)
    assert other.status == 503


def _is_strict_json(line: bytes) -> bool:
    try:
        json.loads(line.decode(), parse_constant=_refuse)
    except ValueError:
        return False
    return True


def _refuse(name: str) -> None:
    raise ValueError(name)
