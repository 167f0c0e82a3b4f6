"""docs/terminal.md's tables against the terminal chat."""

from services.termchat.commands import HELP
from services.termchat.exit_codes import Exit
from tests.documents.tables import table


def test_every_command_is_listed_as_the_help_shows_it() -> None:
    in_code = [(f"/{name} {argument}".rstrip(), about) for name, (argument, about) in HELP.items()]

    assert [tuple(row) for row in table("docs/terminal.md", "terminal-commands")] == in_code


def test_every_exit_code_is_listed() -> None:
    assert [int(code) for code, _ in table("docs/terminal.md", "terminal-exits")] == list(Exit)
