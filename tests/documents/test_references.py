"""Whoever reads a clone finds what it refers to: pages, sections, and the cases of docs/faults.md."""

import re

import pytest

from tests.documents.references import broken, cases, named_cases, texts

OURSELVES = "tests/documents/test_references.py"  # plants broken ones, below


def test_every_page_section_and_case_that_is_referred_to_is_there() -> None:
    found = {path: broken(path, text) for path, text in texts().items() if path != OURSELVES}

    assert {path: missing for path, missing in found.items() if missing} == {}


@pytest.mark.parametrize(
    ("path", "text", "missing"),
    [
        ("proxy/app.py", "the rules of nowhere.md", ["nowhere.md"]),
        ("proxy/app.py", "see faults.md", ["faults.md"]),
        ("proxy/app.py", 'PROTOCOL.md, "Ends"', ['PROTOCOL.md, "Ends"']),
        ("proxy/app.py", 'PROTOCOL "Ends"', ['PROTOCOL.md, "Ends"']),
        ("proxy/app.py", '(ARCHITECTURE.md,\n# "Nothing of it")', ['ARCHITECTURE.md, "Nothing of it"']),
        ("tests/proxy/test_app.py", '"""C99: nobody wrote it."""', ["C99"]),
        ("tests/proxy/test_app.py", "cases L6 to L19", ["L17", "L18", "L19"]),
        ("README.md", "[here](PROTOCOL.md#nowhere)", ["PROTOCOL.md"]),
        ("README.md", "[here](nowhere/at/all)", ["nowhere/at/all"]),
        ("README.md", 'see "No such heading"', ['README.md, "No such heading"']),
    ],
)
def test_a_reference_to_nothing_is_seen(path: str, text: str, missing: list[str]) -> None:
    assert broken(path, text) == missing


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("proxy/app.py", 'the codes of PROTOCOL.md, "Errors", and C4 of docs/faults.md'),
        ("proxy/app.py", 'PROTOCOL.md\'s, "Bodies"'),
        ("docs/faults.md", "[the protocol](../PROTOCOL.md#errors)"),
        ("README.md", "[the page](https://example.org/nowhere.md)"),
    ],
)
def test_a_reference_to_what_is_there_is_none_that_is_broken(path: str, text: str) -> None:
    assert broken(path, text) == []


def test_the_files_that_hold_a_case_name_it_and_an_open_case_is_named_by_none() -> None:
    said = {case: {*re.findall(r"`([\w/]+)`", held_by)} for case, held_by in cases().items()}
    naming: dict[str, set[str]] = {case: set() for case in said}
    for path, text in texts().items():
        if path.startswith("tests/") and not path.startswith("tests/documents/"):
            for case in named_cases(text):
                naming[case].add(path.removeprefix("tests/").removesuffix(".py"))

    assert {case: files - naming[case] for case, files in said.items() if files - naming[case]} == {}
    assert [case for case, held_by in cases().items() if (held_by == "*open*") is bool(naming[case])] == []
