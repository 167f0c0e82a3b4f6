"""`sluice` for a person: on a pty, against the real chain.

What is shown here as it is used: services/termchat/chat.py, services/termchat/session.py, services/termchat/views.py,
services/termchat/painting.py and services/termchat/terminal.py.
"""

import asyncio
import re
import signal
import socket

import pytest

from services.simulator.speech import SELF
from tests.behaviour.tcp_relay import relay_to
from tests.chain import Chain
from tests.eventually import eventually
from tests.ports import free_port
from tests.termchat.conftest import stopped_call
from tests.termchat.hostile import CASE, shown
from tests.termchat.person import CTRL_C, CTRL_D, person
from tests.termchat.piped import running, sluice


def test_it_greets_says_whose_words_these_are_and_answers_with_its_times(chain: Chain) -> None:
    with person(url=chain.gateway.url) as somebody:
        somebody.sees("sim:latest (a simulator: its words are not a model's)")
        somebody.enter("hello")
        somebody.sees("what else I can do.")
        somebody.sees_prompt()

        assert re.search(r"first word \d+\.\d\d s · .* tokens · \d+\.\d s · sim", somebody.screen)
        somebody.enter("exit")
        assert somebody.leaves() == 0


def test_words_come_as_they_are_made_and_a_second_question_follows_the_first(chain: Chain) -> None:
    with person("--model", "sim:tokens=30,rate=30,seed=31", url=chain.gateway.url) as somebody:
        somebody.enter("hi")
        somebody.sees_more_than(20)

        assert "first word" not in somebody.screen
        somebody.sees("first word")
        somebody.enter("and?")
        somebody.sees_prompt()
    first, second = chain.calls("sim:tokens=30,rate=30,seed=31")
    assert [one["role"] for one in second["body"]["messages"]] == ["system", "user", "assistant", "user"]
    assert second["body"]["messages"][:2] == first["body"]["messages"]


def test_ctrl_c_stops_the_model_by_name_and_keeps_what_it_said(chain: Chain) -> None:
    model = "sim:tokens=2000,rate=50,seed=32"
    with person("--model", model, url=chain.gateway.url) as somebody:
        somebody.enter("hi")
        somebody.sees_more_than(20)
        somebody.type(CTRL_C)

        somebody.sees("[stopped]")
        assert stopped_call(chain, model)["tokens"] < 1000
        somebody.enter("/history")
        somebody.sees("model [stopped]:")
        somebody.sees_prompt()
        somebody.type(CTRL_D)
        assert somebody.leaves() == 0


def test_ctrl_c_twice_leaves_and_the_model_is_stopped(chain: Chain) -> None:
    model = "sim:tokens=2000,rate=50,seed=33"
    with person("--model", model, url=chain.gateway.url) as somebody:
        somebody.enter("hi")
        somebody.sees_more_than(20)
        somebody.type(CTRL_C)
        somebody.sees("^C")  # two in one moment are one signal
        somebody.type(CTRL_C)

        assert somebody.leaves() == 130
    assert stopped_call(chain, model)["tokens"] < 1000


def test_ctrl_c_while_nothing_has_come_yet_stops_the_model_too(chain: Chain) -> None:
    model = "sim:tokens=2000,prefill=20,seed=34"
    with person("--model", model, url=chain.gateway.url) as somebody:
        somebody.enter("hi")
        somebody.sees("waiting …")
        somebody.type(CTRL_C)

        somebody.sees("[stopped]")
        somebody.enter("exit")
        assert somebody.leaves() == 0
    assert stopped_call(chain, model)["tokens"] == 0


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_told_to_leave_at_the_prompt_it_leaves_the_terminal_as_it_was(
    chain: Chain, number: signal.Signals, code: int
) -> None:
    with person(url=chain.gateway.url) as somebody:
        somebody.sees_prompt()
        somebody.signal(number)

        assert somebody.leaves() == code
        assert somebody.raw.rpartition("\x1b[?2004")[2].startswith("l")  # pasting is no longer marked


def test_what_is_awaited_is_said_and_gone_when_words_come(chain: Chain) -> None:
    with person("--model", "sim:tokens=3,load=1.1,prefill=2.5,seed=35", url=chain.gateway.url) as somebody:
        somebody.enter("hi")
        somebody.sees("loading the model …")
        somebody.sees("reading the prompt …")
        somebody.sees("first word")

        assert "reading" not in somebody.screen


def test_a_model_s_reasoning_and_tools_are_shown_beside_its_answer(chain: Chain) -> None:
    with person("--model", "thinker", "hi", url=chain.gateway.url) as somebody:
        assert somebody.leaves() == 0

    thoughts, answer, *_ = somebody.screen.split("\n")
    assert thoughts == "The user wants a short answer. I compare two options & choose."
    assert answer == "Forty-two: it's always that one."
    assert "\x1b[2mThe user" in somebody.raw


def test_what_a_model_writes_is_shown_on_a_terminal_and_obeyed_nowhere(chain: Chain) -> None:
    """T25."""
    with person("--model", CASE, "hi", url=chain.gateway.url) as somebody:
        assert somebody.leaves() == 0

    ours = {"\x1b[0m", "\x1b[2m", "\x1b[36m", "\x1b[K"}
    assert {*re.findall(r"\x1b(?:\[[0-9;?]*[A-Za-z]|.)", somebody.raw)} <= ours
    assert not re.search(r"[\x00-\x08\x0b\x0c\x0e-\x1a\x1c-\x1f\x7f-\x9f]", somebody.raw)
    for line in shown():
        assert somebody.screen.count(line.rstrip()) >= 2, line  # in its reasoning and in its answer
    assert r'→ ␛]0;tool␇({"a\u001b[2J": "\u001b[31m"})' in somebody.screen


@pytest.mark.parametrize("environ", [{"NO_COLOR": "1"}, {"TERM": "dumb"}])
def test_without_colours_there_are_none_and_reasoning_is_marked(chain: Chain, environ: dict[str, str]) -> None:
    with person("--model", "thinker", "hi", url=chain.gateway.url, environ=environ) as somebody:
        assert somebody.leaves() == 0

    assert not re.search(r"\x1b\[[0-9;]*m", somebody.raw)
    assert somebody.screen.split("\n")[0::2][:2] == ["[thinking]", "[answer]"]


def test_on_a_dumb_terminal_it_is_a_plain_conversation(chain: Chain) -> None:
    with person(url=chain.gateway.url, environ={"TERM": "dumb"}) as somebody:
        somebody.sees(">>>")
        somebody.type("hello\n")
        somebody.sees("what else I can do.")
        somebody.sees("first word")
        somebody.type("exit\n")

        assert somebody.leaves() == 0
        assert "\x1b" not in somebody.raw


def test_markdown_is_shown_where_it_is_asked_for(chain: Chain) -> None:
    with person("--render", "hi", url=chain.gateway.url) as somebody:
        assert somebody.leaves() == 0

    assert " ".join(somebody.screen.split()).startswith(" ".join(SELF.split())[:200])


def test_without_streaming_it_thinks_and_then_says_it_all(chain: Chain) -> None:
    with person("--no-stream", "--model", "sim:tokens=30,rate=30,seed=36", url=chain.gateway.url) as somebody:
        somebody.enter("hi")
        somebody.sees("sim:tokens=30,rate=30,seed=36 is thinking …")
        somebody.sees("first word")

        assert "is thinking" not in somebody.screen
        assert len(somebody.screen) > 150


def test_a_gateway_that_is_away_is_said_and_works_when_it_is_back(chain: Chain) -> None:
    with socket.socket() as held:
        held.bind(("127.0.0.1", free_port()))  # nobody listens there, and nobody else takes it
        port = held.getsockname()[1]
        with person(url=f"http://127.0.0.1:{port}") as somebody:
            somebody.sees(f"The gateway at http://127.0.0.1:{port} cannot be reached. It is asked again")
            somebody.enter("hello")
            somebody.sees("The gateway cannot be reached. [unreachable]")
            somebody.sees("/retry asks again")
            held.close()
            back = chain.another_gateway(LISTEN=f"127.0.0.1:{port}")
            somebody.enter("/retry")
            somebody.sees("what else I can do.")
            somebody.enter("exit")
            assert somebody.leaves() == 0
        back.stop()


def test_a_place_in_line_is_said(chain: Chain) -> None:
    model = "sim:tokens=2000,rate=20,seed=37"
    with running("hi", "--model", model, url=chain.gateway.url):
        eventually(lambda: chain.calls(model), "somebody is served, and there is one permit")
        with person("--model", model, url=chain.gateway.url) as somebody:
            somebody.enter("hi")
            somebody.sees("waiting, 1st in line …")
            somebody.type(CTRL_C)
            somebody.sees("[stopped]")


async def test_a_connection_that_breaks_costs_no_word_and_is_not_mentioned(chain: Chain) -> None:
    async with relay_to(chain.gateway.port) as relay:
        with person("--model", "sim:tokens=60,rate=40,seed=38", url=relay.url) as somebody:
            await asyncio.to_thread(somebody.enter, "hi")
            for length in (20, 60):
                await asyncio.to_thread(somebody.sees_more_than, length)
                relay.cut()
            screen = await asyncio.to_thread(somebody.sees, "first word")
    whole = sluice("hi", "--model", "sim:tokens=60,seed=38", url=chain.gateway.url).out

    said = screen.partition(">>> hi\n")[2].rpartition("first word")[0]
    assert "".join(said.split()) == "".join(whole.split())


def test_it_rings_where_it_is_asked_to(chain: Chain) -> None:
    with person("--bell", "hi", url=chain.gateway.url) as somebody:
        assert somebody.leaves() == 0

    assert somebody.raw.endswith("\a")
