import re

import orjson
import pytest
from hypothesis import given
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
    "an IPv6 address without brackets": ("dial ::1, fe80::1%eth0 and 2001:db8:0:0:0:0:0:7", "dial …, … and …"),
    "an IPv4 address in IPv6's form": ("dial ::ffff:10.0.0.7 failed", "dial … failed"),
    "a host without a domain": ("dial gpu-1:11434: refused", "dial …: refused"),
    "a host of a private network": ("on gpu_1.internal: failed", "on …: failed"),
    "a host that the resolver asked for": ("dial tcp: lookup ollama: no such host", "dial tcp: lookup …: no such host"),
    "a registry": ("pull from ollama.com failed", "pull from … failed"),
    "another registry": ("hf.co/someone/x:Q4_0 is no GGUF", "… is no GGUF"),
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
    "missing tensor 'blk.1.attn_norm.weight'",
    "tensor output_norm.weight has wrong shape; expected 4096, got 2048",
    "key not found in model: llama.context_length",
    "tokenizer.ggml.tokens is empty",
    "std::bad_alloc",
    "it stopped at 12:30:45, status:500",
    "unknown model architecture: 'qwen3.next'",
    "model 'qwen2.5:72b' not found",
]
ADDRESS = re.compile(r"\d{1,3}(?:\.\d{1,3}){3}")


@pytest.mark.parametrize("name", PLACES)
def test_a_stranger_is_not_told(name: str) -> None:
    words, clean = PLACES[name]

    assert scrubbed(words) == clean


@pytest.mark.parametrize("words", WORDS)
def test_ordinary_words_survive(words: str) -> None:
    assert scrubbed(words) == words


ASKED = [
    ("registry.ollama.ai/library/x:latest does not support tools", "x", "x:latest does not support tools"),
    ("registry.ollama.ai/library/x:latest does not support tools", "X:latest", "x:latest does not support tools"),
    ("registry.ollama.ai/library/x:8b has no template", " library/x:8b\n", "x:8b has no template"),
    ("registry.ollama.ai/team/x:latest has none", "team/x", "team/x:latest has none"),
    ("model 'hf.co/someone/x:Q4_0' not found", "hf.co/someone/x:Q4_0", "model 'hf.co/someone/x:Q4_0' not found"),
    ("model 'gpt-4.1.2' not found, next", "gpt-4.1.2", "model 'gpt-4.1.2' not found, next"),
    ("model 'team.example/a/b' not found", "team.example/a/b:latest", "model 'team.example/a/b' not found"),
    ("open /models/x/y: x is missing", "x", "open …: x is missing"),
    ("dial x:11434 and x.internal", "x", "dial … and …"),
    ("registry.ollama.ai/library/y:latest has none", "x", "… has none"),
    ("dial 10.0.0.7:11434 failed", "", "dial … failed"),
    ("a (b) is none", "(b", "a (b) is none"),
    ("C:\\models\\x is missing", "x", "… is missing"),
    ("Post http://10.0.0.7:11434/api/chat: http failed", "http", "Post … http failed"),
]


@pytest.mark.parametrize(("words", "asked", "clean"), ASKED)
def test_the_model_that_was_asked_for_may_be_named(words: str, asked: str, clean: str) -> None:
    """Who asked knows the name: without it nobody can tell which model it was. Ollama adds a place to it."""
    assert scrubbed(words, asked) == clean


@pytest.mark.parametrize(
    "page", ["<!DOCTYPE html><html>", "<html>\n<body>no", " <HTML lang='en'>", "<?xml version='1.0'?>"]
)
def test_a_page_is_no_words(page: str) -> None:
    assert scrubbed(page) == ""


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_json_inside_json_is_read_to_its_innermost_message(depth: int) -> None:
    words: object = {"code": 400, "message": "image input is not supported", "type": "invalid_request_error"}
    for _ in range(depth):
        words = orjson.dumps({"error": words}).decode()

    assert scrubbed(words) == "image input is not supported"


@pytest.mark.parametrize(
    "words", [None, 17, [], {}, {"error": 5}, {"error": None}, "", "  ", "\n", '{"status":"no message here"}']
)
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
def test_an_address_that_stands_alone_is_never_told(before: str, octets: tuple[int, ...], after: str) -> None:
    clean = scrubbed(f"{before} {'.'.join(map(str, octets))} {after}")

    assert not any(found.group() == ".".join(map(str, octets)) for found in ADDRESS.finditer(clean))


@pytest.mark.parametrize("piece", ["a-", "1.", "/", "a.", "{", "x", ":", "0:", "lookup "])
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
