"""services/termchat/conversation.py: what the model is told."""

import pytest

from services.termchat.branch import Branch
from services.termchat.conversation import KEPT, SYSTEM, BadValue, Conversation, Parameters


def talk(exchanges: int) -> Conversation:
    conversation = Conversation()
    for number in range(exchanges):
        conversation.ask(f"question {number}")
        conversation.take_answer(f"answer {number}")
    return conversation


def told(conversation: Conversation) -> list[tuple[str, str]]:
    return [(one["role"], one["content"]) for one in conversation.request()["messages"]]


def test_the_model_is_told_the_system_prompt_and_what_was_said() -> None:
    conversation = talk(1)
    conversation.ask("and now?")

    assert told(conversation) == [
        ("system", SYSTEM),
        ("user", "question 0"),
        ("assistant", "answer 0"),
        ("user", "and now?"),
    ]


def test_only_the_last_twenty_messages_are_told_and_the_system_prompt_always() -> None:
    conversation = talk(30)
    conversation.ask("and now?")

    assert told(conversation)[0] == ("system", SYSTEM)
    assert len(told(conversation)) == 1 + KEPT
    assert told(conversation)[-1] == ("user", "and now?")
    assert told(conversation)[1] == ("assistant", "answer 20")


def test_it_is_asked_with_what_was_chosen_and_goes_on_when_the_line_breaks() -> None:
    conversation = Conversation(Parameters(model="tiny", seed=7))
    conversation.ask("hi")

    request = conversation.request()

    assert request["model"] == "tiny"
    assert request["options"] == {"temperature": 0.7, "num_predict": 2048, "seed": 7}
    assert request["on_disconnect"] == "continue"


def test_without_a_model_the_gateway_chooses() -> None:
    assert "model" not in Conversation().request()


def test_a_question_without_a_word_of_an_answer_is_withdrawn_and_can_be_asked_again() -> None:
    conversation = talk(1)
    conversation.ask("lost")
    conversation.take_answer("", "interrupted")

    assert told(conversation)[-1] == ("assistant", "answer 0")
    assert conversation.take_back() == "lost"
    assert told(conversation)[-1] == ("assistant", "answer 0")


def test_a_stopped_answer_is_kept_with_its_mark_and_told_without_it() -> None:
    conversation = Conversation()
    conversation.ask("hi")
    conversation.take_answer("Hello, I", "stopped")

    assert conversation.messages[-1].mark == "stopped"
    assert told(conversation)[-1] == ("assistant", "Hello, I")


def test_taking_back_twice_forgets_no_more_than_the_last_question() -> None:
    conversation = talk(2)

    assert [conversation.take_back(), conversation.take_back()] == ["question 1", "question 1"]
    assert told(conversation)[-1] == ("assistant", "answer 0")


def test_taking_back_forgets_the_last_question_and_its_answer() -> None:
    conversation = talk(2)

    assert conversation.take_back() == "question 1"
    assert told(conversation)[-1] == ("assistant", "answer 0")


def test_taking_back_nothing_is_nothing() -> None:
    assert Conversation().take_back() == ""


def test_clear_goes_back_to_the_system_prompt() -> None:
    conversation = talk(3)
    conversation.parameters.system = "Be brief."

    conversation.clear()

    assert told(conversation) == [("system", "Be brief.")]
    assert conversation.take_back() == ""


def test_tokens_are_estimated_by_words() -> None:
    conversation = Conversation(Parameters(system="one two"))
    conversation.ask("three four five six seven eight nine ten")

    assert conversation.approximate_tokens == 13


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("temperature", "0", 0.0),
        ("temperature", "2", 2.0),
        ("temperature", "", 0.7),
        ("top_p", "0.9", 0.9),
        ("top_p", "", None),
        ("max_tokens", "1", 1),
        ("max_tokens", "", 2048),
        ("seed", "-5", -5),
        ("seed", "", None),
        ("system", "Be brief.", "Be brief."),
        ("system", "", SYSTEM),
        ("model", "sim:tokens=3", "sim:tokens=3"),
        ("model", "", None),
    ],
)
def test_a_parameter_is_chosen(name: str, text: str, value: object) -> None:
    parameters = Parameters(temperature=1.0, top_p=1.0, max_tokens=5, seed=1, system="x", model="y")

    parameters.choose(name, text)

    assert getattr(parameters, name) == value


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("temperature", "2.1"),
        ("temperature", "-0.1"),
        ("temperature", "nan"),
        ("temperature", "inf"),
        ("temperature", "warm"),
        ("top_p", "1.5"),
        ("max_tokens", "0"),
        ("max_tokens", "1.5"),
        ("max_tokens", "2147483648"),
        ("max_tokens", "٣"),
        ("seed", "9223372036854775808"),
        ("seed", "1" * 5000),
        ("model", "x" * 257),
        ("model", "a\x1b[31m"),
        ("num_ctx", "5"),
    ],
)
def test_a_parameter_that_cannot_be_is_refused_and_nothing_changes(name: str, text: str) -> None:
    parameters = Parameters()

    with pytest.raises(BadValue, match=r"^expected "):
        parameters.choose(name, text)

    assert parameters == Parameters()


def test_a_kept_conversation_is_asked_by_its_last_message_and_tells_nothing_again() -> None:
    conversation = Conversation()
    conversation.branch = Branch("cv_A", leaf="ms_1")
    conversation.ask("and now?")
    first = conversation.request()
    conversation.take_answer("noon", rows=("ms_2", "ms_3"))
    conversation.ask("and then?")
    second = conversation.request()

    asked = {"system": SYSTEM, "conversation_id": "cv_A", "message": "and now?", "parent": "ms_1"}
    assert asked.items() <= first.items()
    assert (second["message"], second["parent"]) == ("and then?", "ms_3")
    assert "messages" not in {*first, *second}


def test_a_kept_question_that_is_taken_back_is_asked_again_in_its_place() -> None:
    conversation = Conversation()
    conversation.branch = Branch("cv_A", leaf="ms_1")
    conversation.ask("and now?")
    conversation.take_answer("noon", rows=("ms_2", "ms_3"))

    conversation.ask(conversation.take_back())
    again = conversation.request()

    assert again["parent"] == "ms_2"
    assert "message" not in again


def test_a_kept_question_that_was_refused_is_asked_again_behind_what_was_answered() -> None:
    conversation = Conversation()
    conversation.branch = Branch("cv_A", leaf="ms_1")
    conversation.ask("and now?")
    conversation.take_answer("")

    conversation.ask(conversation.take_back())
    again = conversation.request()

    assert (again["message"], again["parent"]) == ("and now?", "ms_1")
