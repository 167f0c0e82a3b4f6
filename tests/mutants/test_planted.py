"""Each planted bug still applies: its old text stands in its file once, and its tests are there."""

import ast

import pytest

from tests.architecture.source import ROOT
from tests.mutants.planted import MUTANTS, Mutant


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_planted_bug_applies(mutant: Mutant) -> None:
    text = (ROOT / mutant.file).read_text(encoding="utf-8")

    assert text.count(mutant.old) == 1
    assert mutant.new != mutant.old
    ast.parse(text.replace(mutant.old, mutant.new))
    for test in mutant.tests:
        path, _, name = test.partition("::")
        assert f"def {name}(" in (ROOT / path).read_text(encoding="utf-8") or not name


def test_there_are_thirty_and_no_two_are_the_same() -> None:
    assert len(MUTANTS) == 30
    assert len({(mutant.file, mutant.old, mutant.new) for mutant in MUTANTS}) == 30
    assert len({mutant.name for mutant in MUTANTS}) == 30
