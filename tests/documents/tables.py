"""Tables of our documents: between `<!-- name -->` and `<!-- /name -->`."""

import re

from tests.architecture.source import ROOT


def between(document: str, marker: str) -> str:
    """Return the text of a document between the markers; it is there once."""
    text = (ROOT / document).read_text(encoding="utf-8")
    (found,) = re.findall(rf"<!-- {marker} -->(.*?)<!-- /{marker} -->", text, re.DOTALL)
    return str(found)


def table(document: str, marker: str) -> list[list[str]]:
    """Return the rows of the marked table without its head, cells without backticks and blanks at their ends."""
    rows = [line.strip() for line in between(document, marker).split("\n") if line.strip().startswith("|")]
    return [[_cell(cell) for cell in re.split(r"(?<!\\)\|", row)[1:-1]] for row in rows[2:]]


def _cell(text: str) -> str:
    return text.strip().strip("`").replace("\\|", "|")


def words(document: str, marker: str) -> list[str]:
    """Return the first column of the marked table, or all words in backticks where there is no table."""
    rows = table(document, marker)
    return [row[0] for row in rows] if rows else re.findall(r"`([^`\n]+)`", between(document, marker))
