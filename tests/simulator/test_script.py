from dataclasses import fields

import pytest

from services.simulator import byte_faults, line_faults
from services.simulator.faults import ERROR_WORDS, FAULTS, IN_BYTES, IN_LINES
from services.simulator.manual import manual
from services.simulator.models import BUILT_IN, find
from services.simulator.script import PARAMETERS, Script, ScriptError, is_model_name, parse, split_name


def test_a_name_says_tokens_rate_and_fault() -> None:
    base, parameters = split_name("sim:tokens=200,rate=50,jitter=0.2,think=10,load=1,prefill=0.5,fault=reset,at=20")

    script = parse(parameters, Script())

    assert base == "sim"
    assert script == Script(tokens=200, rate=50, jitter=0.2, think=10, load=1, prefill=0.5, fault="reset", at=20)


def test_the_tag_latest_is_no_parameter() -> None:
    assert split_name("story:latest") == split_name("story") == ("story", "")


def test_what_a_name_does_not_say_stays_as_it_was() -> None:
    assert parse("rate=5", Script(load=3, rate=9)) == Script(load=3, rate=5)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("tokens=-1", "tokens: expected a whole number from 0"),
        ("tokens=1.5", "tokens: expected a whole number"),
        ("rate=fast", "rate: expected a number from 0"),
        ("rate=nan", "rate: expected a number"),
        ("rate=inf", "rate: expected a number"),
        ("fault=explode", "fault: expected one of refuse"),
        ("words=", "words: expected one of crash"),
        ("speed=1", "speed: expected one of tokens"),
        ("rate", "rate: expected one of tokens"),
    ],
)
def test_a_parameter_that_cannot_be_read_is_named_with_what_was_expected(text: str, problem: str) -> None:
    with pytest.raises(ScriptError, match=problem):
        parse(text, Script())


@pytest.mark.parametrize("name", ["story", "a/b:7b-q4", "sim:tokens=5,to=127.0.0.1:80,words=path", "Chat_1.x-y"])
def test_names_that_ollama_or_a_script_would_have_are_names(name: str) -> None:
    assert is_model_name(name)


@pytest.mark.parametrize("name", ["", "a b/../c", "a b", "x" * 257, ":x", "ü", "a\nb", "sim:fault=a b"])
def test_other_strings_are_no_names(name: str) -> None:
    assert not is_model_name(name)


def test_each_parameter_is_a_field_of_the_script() -> None:
    assert {name.replace("for", "for_s") for name in PARAMETERS} == {field.name for field in fields(Script)}


def test_each_fault_has_exactly_one_maker() -> None:
    assert set(line_faults.MAKERS) == set(IN_LINES)
    assert set(byte_faults.MAKERS) == set(IN_BYTES)
    assert all(
        byte_faults.instead(Script(fault=name), 0.0) is not None for name in set(FAULTS) - {*IN_LINES, *IN_BYTES}
    )


@pytest.mark.parametrize("name", [*FAULTS, *PARAMETERS, *ERROR_WORDS, *BUILT_IN])
def test_help_lists_every_fault_parameter_and_model(name: str) -> None:
    assert f"\n  {name}" in manual()


def test_each_fault_reads_only_parameters_that_exist() -> None:
    assert {name for fault in FAULTS.values() for name in fault.reads} <= set(PARAMETERS)


@pytest.mark.parametrize("spelled", ["story", "STORY", "library/story", "registry.ollama.ai/library/Story:latest"])
def test_a_model_is_found_and_listed_under_one_name_however_it_is_spelled(spelled: str) -> None:
    """As Ollama's own are."""
    model = find(spelled, Script(), {})

    assert model is not None
    assert (model.base, model.full_name) == ("story", "story:latest")


def test_a_script_s_parameters_keep_their_case_and_another_namespace_is_another_model() -> None:
    model = find("library/SIM:fault=reset,at=3", Script(), {})

    assert model is not None
    assert model.full_name == "sim:fault=reset,at=3"
    assert find("somebody/sim", Script(), {}) is None
