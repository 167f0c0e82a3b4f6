"""services/termchat/commands.py: what a person's line means."""

import pytest

from services.termchat.commands import HELP, Command, Meaning, Nothing, Quit, Say, Unknown, is_open, line_of, meaning_of


@pytest.mark.parametrize(
    ("line", "meaning"),
    [
        ("hello", Say("hello")),
        ("  hello \n", Say("hello")),
        ("", Nothing()),
        (" \n ", Nothing()),
        ("exit", Quit()),
        ("quit", Quit()),
        ("/exit", Quit()),
        ("/quit", Quit()),
        ("exit the building", Say("exit the building")),
        ("//etc/passwd is what?", Say("/etc/passwd is what?")),
        ("/help", Command("help", "")),
        ("/HELP", Command("help", "")),
        ("/temp 0.5", Command("temp", "0.5")),
        ("/set system You are  brief.", Command("set", "system You are  brief.")),
        ("/modle x", Unknown("modle", "model")),
        ("/zzzzzz", Unknown("zzzzzz", "")),
        ("/", Unknown("", "")),
        ('"""one\ntwo"""', Say("one\ntwo")),
        ('"""\none\n\ntwo\n"""', Say("one\n\ntwo")),
        ('"""/help"""', Say("/help")),
        ('""""""', Nothing()),
        ("one\ntwo", Say("one\ntwo")),
    ],
)
def test_a_line_means(line: str, meaning: Meaning) -> None:
    assert meaning_of(line) == meaning


@pytest.mark.parametrize(
    ("message", "line"),
    [
        ("hello", "hello"),
        ("one\ntwo", "one\ntwo"),
        ("/etc is what?", "//etc is what?"),
        ("/help", "//help"),
        ("//", "///"),
        ("exit", '"""exit"""'),
        (" hello", '""" hello"""'),
        ("/one\ntwo ", '"""/one\ntwo """'),
        ('"""', '"""""""""'),
        ('"""one', '""""""one"""'),
    ],
)
def test_a_message_that_is_changed_is_typed_as_what_says_it(message: str, line: str) -> None:
    assert line_of(message) == line
    assert meaning_of(line) == Say(message)
    assert not is_open(line)


@pytest.mark.parametrize("name", [name for name in HELP if name != "exit"])
def test_every_command_of_the_help_is_one(name: str) -> None:
    assert meaning_of(f"/{name} x") == Command(name, "x")


@pytest.mark.parametrize(
    ("text", "more"),
    [('"""', True), ('"""one', True), ('"""one\ntwo', True), ('"""one"""', False), ("one", False), ('""""', True)],
)
def test_quotes_that_were_opened_want_another_line(text: str, more: bool) -> None:
    assert is_open(text) is more
