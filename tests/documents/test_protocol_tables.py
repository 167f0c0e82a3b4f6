"""PROTOCOL.md's vocabulary, and the outcomes of docs/troubleshooting.md, against services/wire/events.py."""

import re
from enum import StrEnum

import pytest

from services.wire.events import EVENT_NAMES, OUTCOMES, RULES, ConnectionEnd, FinishReason, Phase, Stage
from tests.documents.tables import table, words


def test_every_error_code_is_listed_with_its_status_and_whether_to_ask_again() -> None:
    in_code = {str(code): (str(rule.status), "yes" if rule.retryable else "no") for code, rule in RULES.items()}
    # the first word: a cell may go on with the exception
    listed = {
        code: (status, again.partition(" ")[0].strip(",;"))
        for code, status, again, *_ in table("PROTOCOL.md", "errors")
    }

    assert listed == in_code


def test_every_event_is_listed() -> None:
    assert sorted(words("PROTOCOL.md", "events")) == sorted(EVENT_NAMES.values())


@pytest.mark.parametrize(
    ("marker", "vocabulary"),
    [("phases", Phase), ("stages", Stage), ("finish-reasons", FinishReason), ("connection-ends", ConnectionEnd)],
)
def test_every_word_of_a_vocabulary_is_listed(marker: str, vocabulary: type[StrEnum]) -> None:
    assert sorted(words("PROTOCOL.md", marker)) == sorted(vocabulary)


def test_the_readme_says_of_every_end_whose_doing_it_is() -> None:
    listed = {
        reason: outcome
        for outcome, _, reasons in table("docs/troubleshooting.md", "outcomes")
        for reason in re.findall(r"\w+", reasons)
    }

    assert listed == {str(reason): str(outcome) for reason, outcome in OUTCOMES.items()}
