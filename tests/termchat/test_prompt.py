"""services/termchat/prompt.py and the commands of a chat, typed on a pty."""

import json
import shutil
import stat
from pathlib import Path

import pytest

from services.termchat.prompt import KeptHistory
from tests.chain import Chain
from tests.termchat.person import ALT_ENTER, CTRL_C, CTRL_D, Person, person

PASTE = "\x1b[200~{}\x1b[201~"
UP = "\x1b[A"


def told(chain: Chain, model: str) -> str:
    """Return the last question that the model server was sent."""
    return str(chain.calls(model)[-1]["body"]["messages"][-1]["content"])


def enters(somebody: Person, line: str, sees: str) -> None:
    somebody.enter(line)
    somebody.sees(sees)


@pytest.mark.parametrize(
    "keys",
    [f"one{ALT_ENTER}two\r", '"""one\rtwo"""\r', PASTE.format("one\ntwo") + "\r", '"""\rone\rtwo\r"""\r'],
    ids=["Alt-Enter", "quotes", "pasting", "quotes on their own lines"],
)
def test_a_message_of_several_lines_is_sent_as_one(chain: Chain, keys: str) -> None:
    model = f"sim:tokens=1,seed={4000 + len(keys)}"
    with person("--model", model, url=chain.gateway.url) as somebody:
        somebody.sees_prompt()
        somebody.type(keys)
        somebody.sees("first word")

    assert told(chain, model) == "one\ntwo"


def test_what_is_pasted_is_not_sent_by_itself(chain: Chain) -> None:
    model = "sim:tokens=1,seed=42"
    with person("--model", model, url=chain.gateway.url) as somebody:
        somebody.sees_prompt()
        somebody.type(PASTE.format("/exit\r\nexit\n"))
        somebody.sees("/exit")
        somebody.type(CTRL_C)  # it is a text like another
        somebody.sees_not("/exit")
        somebody.type(CTRL_D)

        assert somebody.leaves() == 0
    assert chain.calls(model) == []


def test_a_slash_is_sent_by_two_and_an_unknown_command_is_not_sent(chain: Chain) -> None:
    model = "sim:tokens=1,seed=43"
    with person("--model", model, url=chain.gateway.url) as somebody:
        enters(somebody, "/modle x", "there is no /modle; did you mean /model?")
        enters(somebody, "//etc is what?", "first word")
        enters(somebody, "/edit", ">>> //etc is what?")
        somebody.enter(" now?")
        somebody.sees_prompt()

    asked = [call["body"]["messages"][-1]["content"] for call in chain.calls(model)]
    assert asked == ["/etc is what?", "/etc is what? now?"]


def test_parameters_that_are_chosen_reach_the_model_and_wrong_ones_change_nothing(chain: Chain) -> None:
    with person(url=chain.gateway.url) as somebody:
        enters(somebody, "/model sim:tokens=1,seed=44", "it is not listed")
        enters(somebody, "/temp 0.2", "temperature 0.2")
        enters(somebody, "/temp warm", "expected a number from 0 to 2")
        enters(somebody, "/set top_p 0.5", "top_p 0.5")
        enters(somebody, "/set max_tokens 9", "max_tokens 9")
        enters(somebody, "/set seed 7", "seed 7")
        enters(somebody, "/set system Be brief.", "system Be brief.")
        enters(somebody, "/set num_ctx 5", "expected /set system|top_p|max_tokens|seed")
        enters(somebody, "/set seed x", "expected a whole number")
        enters(somebody, "hi", "first word")

    (call,) = chain.calls("sim:tokens=1,seed=44")
    assert call["body"]["messages"][0] == {"role": "system", "content": "Be brief."}
    assert call["body"]["options"] == {"temperature": 0.2, "top_p": 0.5, "num_predict": 9, "seed": 7}


def test_retry_asks_the_same_again_and_edit_asks_what_it_became(chain: Chain) -> None:
    model = "sim:tokens=1,seed=45"
    with person("--model", model, url=chain.gateway.url) as somebody:
        enters(somebody, "/retry", "nothing was asked yet")
        enters(somebody, "one", "first word")
        somebody.enter("/retry")
        enters(somebody, "/edit", ">>> one")
        somebody.enter(" and two")
        somebody.enter("/history")
        somebody.sees("2 messages")

    asked = [[one["content"] for one in call["body"]["messages"][1:]] for call in chain.calls(model)]
    assert asked == [["one"], ["one"], ["one and two"]]


def test_clear_forgets_and_history_says_how_much_there_is(chain: Chain) -> None:
    with person("--model", "sim:tokens=1", "--system", "one two three", url=chain.gateway.url) as somebody:
        enters(somebody, "hello", "first word")
        enters(somebody, "/history", "2 messages, ~6 tokens")
        enters(somebody, "/history 1", "model:")
        enters(somebody, "/clear", "forgotten; the system prompt stays")
        enters(somebody, "/history", "0 messages, ~4 tokens")
        enters(somebody, "/stats", "total")


def test_models_are_listed_and_completed(chain: Chain) -> None:
    with person(url=chain.gateway.url) as somebody:
        enters(somebody, "/models", "thinker:latest")
        assert "a simulator's words" in somebody.screen
        somebody.sees_prompt()
        somebody.type("/model thi\t")
        somebody.sees(">>> /model thinker:latest")
        somebody.type("\r")
        somebody.sees("\nmodel thinker:latest")
        somebody.answered()
        enters(somebody, "/model THINKER", "model THINKER")

        assert "not listed" not in somebody.screen


def test_a_conversation_is_saved_for_its_owner_alone_and_loaded_again(chain: Chain, tmp_path: Path) -> None:
    path = tmp_path / "talk.json"
    with person("--model", "sim:tokens=1", url=chain.gateway.url) as somebody:
        enters(somebody, "hello", "first word")
        enters(somebody, f"/save {path}", "saved, 2 messages")
        enters(somebody, "/clear", "forgotten")
        enters(somebody, f"/load {path}", "loaded, 2 messages")
        enters(somebody, f"/save {path}", "saved, 2 messages")

    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [one["role"] for one in json.loads(path.read_text())["messages"]] == ["user", "assistant"]


def test_what_is_not_ours_is_neither_loaded_nor_replaced(chain: Chain, tmp_path: Path) -> None:
    path = tmp_path / "other.json"
    path.write_text('{"precious": true}')
    with person("--model", "sim:tokens=1", url=chain.gateway.url) as somebody:
        enters(somebody, "hello", "first word")
        enters(somebody, f"/load {path}", "not loaded, nothing is changed: it is no conversation that /save wrote")
        enters(somebody, f"/save {path}", "not saved: it is no conversation that /save wrote")
        enters(somebody, f"/load {tmp_path / 'none'}", "not loaded, nothing is changed: no such file")
        enters(somebody, f"/save {tmp_path / 'none' / 'x'}", "not saved: no such file")
        enters(somebody, "/save ~nobody-has-it/x", "not saved: that home is not known")
        enters(somebody, f"/save {tmp_path}", "not saved: it is no file")
        enters(somebody, "/load /dev/tty", "it is no file")
        enters(somebody, f"/save {'x' * 300}", "not saved: file name too long")
        enters(somebody, "/history", "2 messages")

    assert path.read_text() == '{"precious": true}'


def test_what_was_typed_is_kept_for_its_owner_alone_and_comes_back(chain: Chain, tmp_path: Path) -> None:
    environ = {"XDG_STATE_HOME": str(tmp_path)}
    with person(url=chain.gateway.url, environ=environ) as somebody:
        enters(somebody, "/temp 0.3", "temperature 0.3")
        somebody.enter("exit")
        assert somebody.leaves() == 0
    history = tmp_path / "sluice" / "history"
    assert stat.S_IMODE(history.stat().st_mode) == 0o600

    with person(url=chain.gateway.url, environ=environ) as somebody:
        somebody.sees_prompt()
        somebody.presses_until(UP, ">>> /temp 0.3")  # the oldest; it is read while one types
        somebody.type("\r")
        somebody.sees("temperature 0.3")


def test_without_a_history_nothing_is_kept(chain: Chain, tmp_path: Path) -> None:
    with person("--no-history", url=chain.gateway.url, environ={"XDG_STATE_HOME": str(tmp_path)}) as somebody:
        enters(somebody, "/temp 0.3", "temperature 0.3")
        somebody.enter("exit")
        assert somebody.leaves() == 0

    assert list(tmp_path.iterdir()) == []


def test_a_home_that_cannot_be_written_is_said_and_the_chat_goes_on(chain: Chain, tmp_path: Path) -> None:
    (tmp_path / "sluice").write_text("a file where a folder should be")
    with person(url=chain.gateway.url, environ={"XDG_STATE_HOME": str(tmp_path)}) as somebody:
        somebody.sees("what you type is not kept: file exists")
        enters(somebody, "/temp 0.3", "temperature 0.3")


def test_a_history_that_cannot_be_written_any_more_is_said_once_and_the_chat_goes_on(
    chain: Chain, tmp_path: Path
) -> None:
    with person(url=chain.gateway.url, environ={"XDG_STATE_HOME": str(tmp_path)}) as somebody:
        enters(somebody, "/temp 0.3", "temperature 0.3")
        shutil.rmtree(tmp_path / "sluice")
        (tmp_path / "sluice").write_text("a file where a folder should be")
        enters(somebody, "/temp 0.4", "temperature 0.4")
        enters(somebody, "/temp 0.5", "temperature 0.5")

        assert somebody.screen.count("what you type is not kept: ") == 1
        assert "xception" not in somebody.screen


def test_a_history_that_is_taken_away_is_begun_anew_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "sluice" / "history"
    history = KeptHistory(path)
    history.store_string("one")
    shutil.rmtree(path.parent)

    history.store_string("two")

    assert list(KeptHistory(path).load_history_strings()) == ["two"]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_stream_off_and_on_again(chain: Chain) -> None:
    with person("--model", "sim:tokens=1", url=chain.gateway.url) as somebody:
        enters(somebody, "/stream off", "answers are shown when they are whole")
        enters(somebody, "/stream", "words are shown as they come")
        enters(somebody, "/stream maybe", "expected /stream on or /stream off")


def test_help_lists_what_there_is_and_makes_no_request(chain: Chain) -> None:
    with person("--model", "sim:tokens=1,seed=47", url=chain.gateway.url) as somebody:
        enters(somebody, "/help", "stops the answer; twice leaves")

    assert chain.calls("sim:tokens=1,seed=47") == []


def test_bytes_that_are_no_text_end_nothing(chain: Chain) -> None:
    with person("--model", "sim:tokens=1,seed=46", url=chain.gateway.url) as somebody:
        somebody.sees_prompt()
        somebody.type_bytes(b"a \xff b\r")
        somebody.sees("first word")
        somebody.enter("exit")
        assert somebody.leaves() == 0

    assert told(chain, "sim:tokens=1,seed=46") == "a \ufffd b"
