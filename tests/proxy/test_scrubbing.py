import re

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.providers.scrubbing import MAX_CHARACTERS, scrubbed

PLACES = {
    "a URL": ("dial http://10.0.0.7:11434/api/chat failed", "dial … failed"),
    "a URL of any scheme": ("open redis+tls://cache/0 failed", "open … failed"),
    "a host name": ("lookup gpu-3.internal.example on it", "lookup … on it"),
    "a host and its port": ("connect registry.ollama.ai:443 refused", "connect … refused"),
    "a host and its path": ("registry.ollama.ai/library/x:latest does not support tools", "… does not support tools"),
    "an IPv4 address": ("dial tcp 127.0.0.1:43977: connection refused", "dial tcp …: connection refused"),
    "an IPv6 address": ("dial tcp [::1]:11434: refused", "dial tcp …: refused"),
    "localhost": ("post localhost:8080 failed", "post … failed"),
    "a path": ("open /root/.ollama/models/blobs/sha256-abc: no such file", "open …: no such file"),
    "a path of Windows": ("open C:\\Users\\me\\models\\x failed", "open … failed"),
    "a home path": ("read ~/models/x failed", "read … failed"),
    "a version": ("llama-server v0.33.0-rc2 crashed", "llama-server … crashed"),
    "a file of the source": ("panic at server.go:649 in it", "panic at … in it"),
}
WORDS = [
    "model 'llama3.2' not found",
    "an error was encountered while running the model: unexpected EOF",
    "the prompt is longer than the context length currently available",
    '"story" does not support thinking',
    'option "stop" must be of type array',
    "temperature must be between 0 and 2.5",
    "server busy, please try again.  maximum pending requests exceeded",
    "invalid character 'n' in literal and/or number 1/2",
    "timed out waiting for the model; 3 of 4 layers, 98.5 %",
]
ADDRESS = re.compile(r"\d{1,3}(?:\.\d{1,3}){3}")


@pytest.mark.parametrize("name", PLACES)
def test_a_stranger_is_not_told(name: str) -> None:
    words, clean = PLACES[name]

    assert scrubbed(words) == clean


@pytest.mark.parametrize("words", WORDS)
def test_ordinary_words_survive(words: str) -> None:
    assert scrubbed(words) == words


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_json_inside_json_is_read_to_its_innermost_message(depth: int) -> None:
    words: object = {"code": 400, "message": "image input is not supported", "type": "invalid_request_error"}
    for _ in range(depth):
        words = orjson.dumps({"error": words}).decode()

    assert scrubbed(words) == "image input is not supported"


@pytest.mark.parametrize("words", [None, 17, [], {}, {"error": 5}, "", "  ", "\n", '{"status":"no message here"}'])
def test_where_there_are_no_words_there_are_none(words: object) -> None:
    assert scrubbed(words) == ""


def test_an_object_that_is_not_whole_json_is_shown_as_words() -> None:
    assert scrubbed('{"half": ') == '{"half":'


def test_only_the_first_line_is_told() -> None:
    assert scrubbed("it broke\ngoroutine 1 [running]:\nmain.main()") == "it broke"


@pytest.mark.parametrize("control", ["\r", "\t", "\x00", "\x1b[31m", "\x85", "\u2028", "\u2029"])
def test_no_control_character_reaches_a_terminal_or_a_header(control: str) -> None:
    clean = scrubbed(f"it{control}broke")

    assert clean.startswith("it ")
    assert clean.isprintable()


@pytest.mark.parametrize(("length", "shown"), [(199, 199), (200, 200), (201, 200), (100_000, 200)])
def test_words_are_cut_at_two_hundred_characters(length: int, shown: int) -> None:
    clean = scrubbed("w " * (length // 2) + "w" * (length % 2) if length > 201 else "w" * length)

    assert len(clean) == shown
    assert clean.endswith("…") is (length > MAX_CHARACTERS)


@given(
    before=st.text(st.characters(codec="utf-8"), max_size=40),
    octets=st.tuples(*[st.integers(0, 255)] * 4),
    after=st.text(max_size=40),
)
@settings(max_examples=200, deadline=None)
def test_an_address_that_stands_alone_is_never_told(before: str, octets: tuple[int, ...], after: str) -> None:
    clean = scrubbed(f"{before} {'.'.join(map(str, octets))} {after}")

    assert not any(found.group() == ".".join(map(str, octets)) for found in ADDRESS.finditer(clean))


@pytest.mark.parametrize("piece", ["a-", "1.", "/", "a.", "{", "x"])
def test_a_line_of_megabytes_is_not_looked_at_to_its_end(piece: str) -> None:
    """An error line may have 8 MiB; the pattern's time grows with the square of what it sees (the time-out is ours)."""
    assert len(scrubbed(piece * (1 << 20))) <= MAX_CHARACTERS


def test_a_place_that_the_reading_ends_in_is_not_told_by_half() -> None:
    words = "/opt/secret/place " * 54 + "w " * 10 + "gpu-3.internal.example.net"

    clean = scrubbed(words + " and more" * 100)

    assert "gpu" not in clean
    assert clean.startswith("… …")


@pytest.mark.parametrize("depth", [20, 1000])
def test_words_wrapped_without_end_are_no_words(depth: int) -> None:
    """Neither the stack nor the reader's patience is a model server's to use up."""
    words: object = "inside"
    for _ in range(depth):
        words = {"error": words}

    assert scrubbed(words) == ""
