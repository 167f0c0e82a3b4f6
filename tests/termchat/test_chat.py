"""`sluice` for a person: on a pty, against the real chain.

What is shown here as it is used: services/termchat/chat.py, services/termchat/prompt.py, services/termchat/session.py,
services/termchat/views.py and services/termchat/terminal.py.
"""

import re

from tests.chain import Chain
from tests.termchat.conftest import stopped_call
from tests.termchat.person import CTRL_C, CTRL_D, Person, person


def wrapped(text: str) -> str:
    """Return a text as a screen of a hundred columns shows it."""
    lines = [line[at : at + 100] for line in text.split("\n") for at in range(0, max(1, len(line)), 100)]
    return "\n".join(line.rstrip() for line in lines)


def answers(somebody: Person) -> list[str]:
    """Return what the model was told last, as /history shows it."""
    somebody.enter("/history")
    somebody.sees_prompt()
    return somebody.screen.rpartition("/history")[2].split("\n")[1:-1]


def test_it_greets_says_whose_words_these_are_and_answers_with_its_times(chain: Chain) -> None:
    with person(url=chain.gateway.url) as somebody:
        somebody.sees("sim:latest (a simulator: its words are not a model's)")
        somebody.enter("hello")

        somebody.sees("what else I can do.")
        somebody.sees_prompt()

        assert re.search(r"first word \d+\.\d\d s · .* tokens · \d+\.\d s · sim", somebody.screen)
        somebody.enter("exit")
        assert somebody.leaves() == 0


def test_words_come_as_they_are_made(chain: Chain) -> None:
    with person("--model", "sim:tokens=60,rate=20,seed=31", url=chain.gateway.url) as somebody:
        somebody.enter("hi")
        somebody.sees_more_than(20)

        assert "first word" not in somebody.screen
        somebody.sees("first word")


def test_ctrl_c_stops_the_model_by_name_and_keeps_what_it_said(chain: Chain) -> None:
    model = "sim:tokens=2000,rate=50,seed=32"
    with person("--model", model, url=chain.gateway.url) as somebody:
        somebody.enter("hi")
        somebody.sees_more_than(20)

        somebody.type(CTRL_C)

        somebody.sees("[stopped]")
        assert stopped_call(chain, model)["tokens"] < 1000
        assert answers(somebody)[:4][3] == "model [stopped]:"
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


def test_ctrl_c_at_the_prompt_clears_it_then_says_how_to_leave_then_leaves(chain: Chain) -> None:
    with person(url=chain.gateway.url) as somebody:
        somebody.sees_prompt()
        somebody.type("never sent")
        somebody.sees("never sent")
        somebody.type(CTRL_C)
        somebody.sees_not("never sent")
        somebody.type(CTRL_C)
        somebody.sees("Ctrl-C again, Ctrl-D or /exit leaves")
        somebody.type(CTRL_C)

        assert somebody.leaves() == 130


def test_ctrl_d_leaves(chain: Chain) -> None:
    with person(url=chain.gateway.url) as somebody:
        somebody.sees_prompt()
        somebody.type(CTRL_D)

        assert somebody.leaves() == 0
