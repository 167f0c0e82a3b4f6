"""`sluice` in scripts and pipes: the answer and nothing else, and an exit code that tells.

What is shown here as it is used: services/termchat/options.py, services/termchat/settings.py,
services/termchat/exit_codes.py and services/termchat/wording.py.
"""

import signal
import subprocess
from pathlib import Path

import pytest

from services.simulator.speech import SELF
from services.termchat.app import QUESTION_BYTES
from services.termchat.conversation import SYSTEM
from tests.chain import ROOT, Chain
from tests.termchat.conftest import stopped_call
from tests.termchat.hostile import CASE, SEQUENCES, shown
from tests.termchat.person import environment
from tests.termchat.piped import command, running, sluice

NOBODY = "http://127.0.0.1:9"


def test_a_question_on_the_command_line_is_answered_in_full(chain: Chain) -> None:
    done = sluice("hello", "there", url=chain.gateway.url)

    assert (done.code, done.err) == (0, "")
    assert done.out == SELF


def test_what_is_piped_in_stands_before_the_question(chain: Chain) -> None:
    model = "sim:tokens=1,seed=11"

    assert sluice("summarise", "it", "--model", model, piped="ёж\n".encode(), url=chain.gateway.url).code == 0

    (call,) = chain.calls(model)
    assert call["body"]["messages"] == [
        {"role": "system", "content": SYSTEM},
        {"role": "user", "content": "ёж\n\nsummarise it"},
    ]
    assert call["body"]["options"] == {"temperature": 0.7, "num_predict": 2048}


def test_standard_input_alone_is_the_question(chain: Chain) -> None:
    assert sluice(piped=b"hello\n", url=chain.gateway.url).out == SELF


def test_bytes_that_are_no_text_are_asked_all_the_same(chain: Chain) -> None:
    assert sluice(piped=b"a \xff b", url=chain.gateway.url).code == 0


def test_json_shows_every_event_on_a_line_and_no_control_character(chain: Chain) -> None:
    done = sluice("--json", "hi", "--model", "sim:tokens=4", url=chain.gateway.url)

    kinds = [event["type"] for event in done.events if event["type"] != "status"]
    assert (kinds[0], {*kinds[1:-1]}, kinds[-1]) == ("start", {"token"}, "done")
    assert done.events[-1]["usage"]["output_tokens"] == 5
    assert done.out.isascii()
    assert (done.code, done.err) == (0, "")


def test_a_failure_is_told_on_standard_error_with_the_code(chain: Chain) -> None:
    done = sluice("hi", "--model", "nobody-has-it", url=chain.gateway.url)

    assert done.code == 1
    assert done.out == ""
    assert "[model_not_found]" in done.err
    assert done.err.count("\n") == 1


def test_text_that_came_before_a_failure_stays(chain: Chain) -> None:
    done = sluice("hi", "--model", "sim:tokens=30,fault=reset,at=5", url=chain.gateway.url)

    assert done.code == 1
    assert len(done.out.split()) == 5
    assert "[upstream_disconnected]" in done.err


def test_with_json_a_failure_without_an_event_is_a_line_too(chain: Chain) -> None:
    done = sluice("--json", "hi", "--model", "nobody-has-it", url=chain.gateway.url)

    assert [event["error"]["code"] for event in done.events] == ["model_not_found"]


def test_an_answer_that_ran_out_of_tokens_is_an_answer_and_is_said_to_be_cut_off(chain: Chain) -> None:
    done = sluice("hi", "--model", "sim:tokens=5000", url=chain.gateway.url)

    assert done.code == 0
    assert "cut off" in done.err


@pytest.mark.parametrize("options", [[], ["--json"]])
def test_a_gateway_that_is_away_is_3(options: list[str]) -> None:
    done = sluice(*options, "hi", url=NOBODY)

    assert done.code == 3
    assert "The gateway cannot be reached." in done.err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "nothing is asked"),
        (["--nonsense", "hi"], "unrecognized arguments: --nonsense"),
        (["--url", "ftp://x", "hi"], "--url: expected http(s)://"),
        (["--header", "Host: x", "hi"], "--header: expected 'Name: value'"),
        (["--header", "a\r\nb: c", "hi"], "--header: expected 'Name: value'"),
        (["--model", "x" * 300, "hi"], "--model: expected a name"),
        (["--key-file", "/nowhere", "hi"], "--key-file: no such file or directory"),
        (["--key-file", "LICENSE", "hi"], "--key-file: expected a file that holds one key and nothing else"),
        (["--url", "https://localhost", "--cacert", "/nowhere", "hi"], "--cacert: expected a file of certificates"),
    ],
)
def test_what_is_not_understood_is_2_in_one_line(arguments: list[str], words: str) -> None:
    done = sluice(*arguments, url=NOBODY)

    assert done.code == 2
    assert words in done.err
    assert done.err.count("\n") == 1
    assert done.out == ""


@pytest.mark.parametrize(("words", "code", "said"), [([], 2, "nothing is asked"), (["hi"], 3, "cannot be reached")])
def test_without_a_standard_input_a_question_is_asked_and_no_chat_begins(
    words: list[str], code: int, said: str
) -> None:
    done = subprocess.run(
        ["sh", "-c", 'exec "$@" <&-', "sh", *command(*words)],
        cwd=ROOT,
        env=environment(SLUICE_TERM_URL=NOBODY),
        capture_output=True,
        timeout=20,
        check=False,
    )

    assert done.returncode == code
    assert said in done.stderr.decode()
    assert done.stderr.count(b"\n") == 1


def test_an_unknown_setting_is_2_with_the_nearest_known_one() -> None:
    done = sluice("hi", url=NOBODY, SLUICE_TERM_MODLE="x")

    assert done.code == 2
    assert "SLUICE_TERM_MODLE: unknown (did you mean SLUICE_TERM_MODEL?)" in done.err


def test_more_than_a_request_may_have_is_refused_before_it_is_sent() -> None:
    done = sluice(piped=b"x" * (QUESTION_BYTES + 1), url=NOBODY)

    assert done.code == 2
    assert "more than 8388608 bytes" in done.err


def test_a_reader_that_leaves_is_141_without_a_word_and_the_model_is_stopped(chain: Chain) -> None:
    model = "sim:tokens=2000,rate=100,seed=141"
    with running("hi", "--model", model, url=chain.gateway.url) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.read(20)
        process.stdout.close()

        assert process.wait(10) == 141
        assert process.stderr.read() == b""
    assert stopped_call(chain, model)["tokens"] < 1000


def test_a_full_disk_is_said_and_the_model_is_stopped(chain: Chain) -> None:
    model = "sim:tokens=2000,rate=100,seed=142"
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            command("hi", "--model", model),
            cwd=ROOT,
            env=environment(SLUICE_TERM_URL=chain.gateway.url),
            stdin=subprocess.DEVNULL,
            stdout=full,
            stderr=subprocess.PIPE,
            timeout=20,
            check=False,
        )

    assert done.returncode == 1
    assert done.stderr == b"sluice: the answer cannot be written: no space left on device\n"
    assert stopped_call(chain, model)["tokens"] < 1000


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_a_signal_stops_the_model_and_ends_with_its_code(chain: Chain, number: signal.Signals, code: int) -> None:
    model = f"sim:tokens=2000,rate=100,seed={int(number)}"
    with running("hi", "--model", model, url=chain.gateway.url) as process:
        assert process.stdout is not None
        process.stdout.read(20)
        process.send_signal(number)

        assert process.wait(10) == code
    assert stopped_call(chain, model)["tokens"] < 1000


def test_what_a_model_writes_is_shown_in_a_pipe_and_obeyed_nowhere(chain: Chain) -> None:
    """T25."""
    done = sluice("hi", "--model", CASE, url=chain.gateway.url)

    assert done.out.rstrip("\n").split("\n") == shown()
    assert done.code == 0


def test_with_json_it_is_written_as_escapes(chain: Chain) -> None:
    done = sluice("--json", "hi", "--model", CASE, url=chain.gateway.url)

    assert done.out.isascii()
    assert {char for char in done.out if not char.isprintable()} == {"\n"}
    said = "".join(event["content"] for event in done.events if event["type"] == "token")
    assert said == "".join(f"{written}\n" for written, _ in SEQUENCES.values())
