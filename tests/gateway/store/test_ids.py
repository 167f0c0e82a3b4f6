import pytest

from gateway.store.ids import (
    CONVERSATION,
    MESSAGE,
    adopted,
    is_conversation_id,
    is_message_id,
    message_id_of,
    new_conversation_id,
    new_message_id,
)


def test_new_ids_have_their_form_and_are_never_the_same() -> None:
    names = [new() for new in (new_conversation_id, new_message_id) for _ in range(100)]

    assert all(map(is_conversation_id, names[:100]))
    assert all(map(is_message_id, names[100:]))
    assert len(set(names)) == 200


@pytest.mark.parametrize("text", ["", "cv_", "cv_" + "a" * 26, "cv_" + "A" * 27, "ms_" + "A" * 26 + "\n", "c_8f"])
def test_anything_else_is_a_client_s_own_label(text: str) -> None:
    assert not is_conversation_id(text)
    assert not is_message_id(text)


def test_what_a_stream_adds_has_the_same_names_at_every_gateway_and_others_for_each_owner_stream_and_role() -> None:
    of = [("ada", "s1", "answer"), ("ada", "s1", "question"), ("ada", "s2", "answer"), ("bob", "s1", "answer")]
    names = [message_id_of(*one) for one in of]

    assert all(map(is_message_id, names))
    assert len(set(names)) == len(of)
    assert names == [message_id_of(*one) for one in of]


def test_a_name_from_a_file_is_adopted_the_same_each_time_and_another_for_each_owner() -> None:
    of_ada = adopted(CONVERSATION, "ada", "x")

    assert of_ada == adopted(CONVERSATION, "ada", "x")
    assert len({of_ada, adopted(CONVERSATION, "grace", "x"), adopted(CONVERSATION, "ada", "y")}) == 3
    assert is_conversation_id(of_ada)
    assert is_message_id(adopted(MESSAGE, "ada", "\udc80"))
