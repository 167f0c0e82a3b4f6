"""`sluice` against gateways elsewhere: behind a path, TLS, a sign-in, or what is no gateway at all.

What is shown here as it is used: services/termchat/gateway.py.
"""

from pathlib import Path

import pytest

from tests.certificate import make_certificate
from tests.chain import Chain
from tests.machine import needs
from tests.termchat.piped import run
from tests.termchat.scripted_gateway import HELLO, STREAM, plain, scripted

REFUSED = b'{"error":{"code":"%s","message":"No.","retryable":true,"request_id":"x"}}'


async def test_a_base_path_and_headers_go_with_every_request() -> None:
    async with scripted(lambda _: HELLO) as gateway:
        headers = "Authorization: Bearer s3cret\nX-Team: a"
        done = await run("hi", url=f"{gateway.url}/chat/", SLUICE_TERM_HEADER=headers)

    (request,) = gateway.requests
    assert request.startswith("POST /chat/api/chat/stream HTTP/1.1\r\n")
    assert "\r\nAuthorization: Bearer s3cret\r\nX-Team: a\r\n" in request
    assert (done.code, done.out) == (0, "Hello\n")


async def test_flags_win_over_the_environment() -> None:
    async with scripted(lambda _: HELLO) as gateway:
        await run("hi", "--header", "X-Team: b", url=gateway.url, SLUICE_TERM_HEADER="X-Team: a")

    assert "X-Team: b" in gateway.requests[0]
    assert "X-Team: a" not in gateway.requests[0]


@pytest.mark.parametrize(
    ("answer", "code", "words"),
    [
        (plain("401 Unauthorized", b"<html>sign in</html>"), 4, "The server answered 401."),
        (plain("403 Forbidden", REFUSED % b"model_not_allowed"), 4, "--model NAME, or /model, asks another"),
        (plain("407 Proxy Authentication Required"), 4, "The server answered 407."),
        (plain("429 Too Many", REFUSED % b"rate_limited", "Retry-After: 7"), 5, "No. (again in 7 s) [rate_limited]"),
        (plain("429 Too Many Requests", b"slow down"), 5, "The server answered 429."),
        (plain("503 Busy", REFUSED % b"overloaded", "Retry-After: 2"), 5, "No. (again in 2 s) [overloaded]"),
        (plain("503 Busy", REFUSED % b"upstream_unavailable"), 1, "No. [upstream_unavailable]"),
        (plain("302 Found", b"", "Location: http://elsewhere/"), 1, "The server answered 302. Is the address right?"),
        (plain("200 OK", b"<html>hello</html>", "Content-Type: text/html"), 1, "The server answered 200."),
        (plain("404 Not Found", b'{"error":"\x1b[31mnope"}'), 1, "The server answered 404."),
        (b"SSH-2.0-OpenSSH_9.2\r\n", 3, "speaks no HTTP"),
    ],
)
async def test_what_is_answered_instead_is_told_with_its_exit_code(answer: bytes, code: int, words: str) -> None:
    async with scripted(lambda _: answer) as gateway:
        done = await run("hi", url=gateway.url)

    assert done.code == code
    assert words in done.err
    assert done.out == ""


@pytest.mark.parametrize("words", [["--conversation", "last", "hi"], ["streams"]])
async def test_what_speaks_another_protocol_is_said_to_whoever_asks(words: list[str]) -> None:
    async with scripted(lambda _: b"SSH-2.0-OpenSSH_9.2\r\n") as gateway:
        done = await run(*words, "--url", gateway.url, url="")

    assert done.code == 3
    assert "speaks no HTTP. Is the address right?" in done.err


async def test_an_error_s_words_are_shown_and_not_obeyed() -> None:
    words = b'{"error":{"code":"upstream_error","message":"a\\u001b]0;owned\\u0007\\nb"}}'
    async with scripted(lambda _: plain("502 Bad Gateway", words)) as gateway:
        done = await run("hi", url=gateway.url)

    assert done.err == "a␛]0;owned␇ b [upstream_error]\n"


async def test_an_answer_that_is_not_held_any_more_is_interrupted() -> None:
    gone = plain("410 Gone", REFUSED % b"stream_gone")
    broken = HELLO[: HELLO.rindex(b"id: ")]
    async with scripted(lambda head: broken if head.startswith("POST") else gone) as gateway:
        done = await run("hi", url=gateway.url)

    assert [head.split()[1] for head in gateway.requests] == ["/api/chat/stream", f"/api/chat/stream/{STREAM}?after=2"]
    assert (done.code, done.out, done.err) == (1, "Hello\n", "No. [interrupted]\n")


async def test_the_key_of_a_file_is_sent_with_every_request(tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_text("sk_live_1\n")
    async with scripted(lambda _: HELLO) as gateway:
        done = await run("hi", "--key-file", str(key), url=gateway.url)

    assert done.code == 0
    assert [head.split("\r\n").count("Authorization: Bearer sk_live_1") for head in gateway.requests] == [1]


@needs("openssl")
async def test_over_tls_a_certificate_that_is_named_is_trusted_and_another_is_not(tmp_path: Path) -> None:
    certificate, tls = make_certificate(tmp_path)
    async with scripted(lambda _: HELLO, tls=tls) as gateway:
        trusted = await run("hi", "--cacert", str(certificate), url=gateway.url)
        strange = await run("hi", url=gateway.url)
        opened = await run("hi", "--conversation", "last", url=gateway.url)
        listed = await run("streams", "--url", gateway.url, url="")

    assert (trusted.code, trusted.out) == (0, "Hello\n")
    for other in (strange, opened, listed):
        assert (other.code, other.out) == (3, "")
        assert "certificate is not trusted; --cacert names the one that is." in other.err


async def test_a_gateway_without_tls_is_not_reached_by_https(chain: Chain) -> None:
    done = await run("hi", url=chain.gateway.url.replace("http:", "https:"))

    assert (done.code, done.err) == (3, "The gateway cannot be reached. [unreachable]\n")
