"""`python -m gateway keys`, as an operator uses it: a key is made, pasted, listed and checked."""

import re
from pathlib import Path

import pytest

from gateway.guard.command import KEYS_FILE, PEPPER_FILE, keys_command
from gateway.guard.key_text import KeyText, hash_of


class Operator:
    """Somebody at a terminal, with a pepper and an empty keys file."""

    def __init__(self, folder: Path, said: pytest.CaptureFixture[str]) -> None:
        self.keys, pepper = folder / "keys.toml", folder / "pepper"
        pepper.write_bytes(b"p" * 32)
        self.keys.write_text("")
        self.environ = {KEYS_FILE: str(self.keys), PEPPER_FILE: str(pepper)}
        self._said = said

    def types(self, *words: str) -> tuple[int, str, str]:
        code = keys_command(words, self.environ)
        out, err = self._said.readouterr()
        return code, out, err


@pytest.fixture
def operator(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Operator:
    return Operator(tmp_path, capsys)


def test_a_new_key_is_shown_once_with_the_table_that_makes_it_good(operator: Operator) -> None:
    code, said, _ = operator.types("new", "Ada Lovelace")
    shown = re.findall(r"^  (sk_live_\S+)$", said, re.MULTILINE)
    key = KeyText.parse(shown[0])
    operator.keys.write_text(said[said.index("[[key]]") :])

    assert (code, len(shown)) == (0, 1)
    assert key is not None
    assert f'hash = "{hash_of(b"p" * 32, key.secret)}"' in said
    assert key.secret not in said[said.index("[[key]]") :]
    assert operator.types("list") == (0, f"{key.id}  Ada Lovelace  chat,models  *  for ever\n", "")
    assert operator.types("check") == (0, "1 keys\n", "")


def test_no_two_keys_are_alike(operator: Operator) -> None:
    shown = [re.findall(r"sk_live_\S+", operator.types("new", "Ada")[1])[0] for _ in range(50)]

    assert len({KeyText.parse(key) for key in shown}) == 50


def test_a_key_says_the_environment_that_it_is_for(operator: Operator) -> None:
    assert "  sk_test1_" in operator.types("new", "Ada", "--environment", "test1")[1]


@pytest.mark.parametrize("name", ["", "x" * 65, "tab\tbed"])
def test_a_name_that_no_file_may_have_gets_no_key(operator: Operator, name: str) -> None:
    code, out, err = operator.types("new", name)

    assert (code, out) == (1, "")
    assert ": name: " in err


def test_a_quote_in_a_name_stays_a_name(operator: Operator) -> None:
    said = operator.types("new", 'Ada "Countess"\\')[1]
    operator.keys.write_text(said[said.index("[[key]]") :])

    assert '  Ada "Countess"\\  ' in operator.types("list")[1]


def test_another_word_for_an_environment_is_refused(operator: Operator) -> None:
    assert operator.types("new", "Ada", "--environment", "Live!") == (
        1, "", "--environment: expected 1 to 16 of a-z and 0-9\n",
    )  # fmt: skip


def test_a_broken_file_is_told_a_line_a_problem(operator: Operator) -> None:
    operator.keys.write_text('[[key]]\nid = "x"\n')

    code, out, err = operator.types("check")

    assert (code, out, err.count("\n")) == (1, "", 3)


@pytest.mark.parametrize("missing", [KEYS_FILE, PEPPER_FILE])
def test_a_path_that_is_not_set_is_asked_for_by_its_name(operator: Operator, missing: str) -> None:
    del operator.environ[missing]

    assert operator.types("list") == (1, "", f"{missing}: set it to the file's path\n")
