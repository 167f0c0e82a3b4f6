"""What our texts refer to: pages, their sections, and the cases of docs/faults.md."""

import os.path
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from tests.architecture.source import ROOT, SOURCE_FOLDERS
from tests.documents.tables import table

FAULTS = "docs/faults.md"
FAULT_TABLES = ("promises", "threats", "upstream", "clients", "malformed", "overload", "lifecycle", "security")
CASE = re.compile(r"(?<![%\w.\[-])([PTUCMOLS]\d{1,2})\b(?: to ([PTUCMOLS]\d{1,2})\b)?")
PAGE = re.compile(r"(?<![\w/.-])([\w./-]*[\w-]\.md)\b")
SECTION = re.compile(r"""(?<![\w/])([\w/]*[A-Za-z]+)(?:\.md)?(?:'s)?,? \(?"([^"]{2,60})\"""")
LINK = re.compile(r"\]\(([^)\s#]*)(?:#([\w-]+))?\)")
OWN_SECTION = re.compile(r'\bsee "([^"]+)"')


@cache
def pages() -> dict[str, str]:
    """The text of every page, by its path."""
    paths = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("tests/captures/*.md")]
    return {str(path.relative_to(ROOT)): path.read_text(encoding="utf-8") for path in paths}


@cache
def texts() -> dict[str, str]:
    """Whatever refers to something: source, tests, pages, and how they are built."""
    folders = [*SOURCE_FOLDERS, "tests", "examples"]
    paths = [path for folder in folders for path in (ROOT / folder).rglob("*.py")]
    paths += [path for folder in (".ci", ".github", "deploy", "examples") for path in (ROOT / folder).rglob("*")]
    paths += [ROOT / name for name in ("Makefile", "pyproject.toml", ".pre-commit-config.yaml")]
    paths = [path for path in paths if path.is_file() and path.suffix != ".pyc"]
    return {**pages(), **{str(path.relative_to(ROOT)): path.read_text(encoding="utf-8") for path in paths}}


def sections(page: str) -> set[str]:
    """Return what a page can be cited by: its headings, and the bold words that begin a paragraph."""
    text = pages()[page]
    return {*re.findall(r"^#+ (.+)$", text, re.MULTILINE), *re.findall(r"^\*\*([^*]+?)\.?\*\*", text, re.MULTILINE)}


def anchors(page: str) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", pages()[page], re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def cases() -> dict[str, str]:
    """Return who holds each case of docs/faults.md, as its row says it."""
    return {row[0]: row[3] for name in FAULT_TABLES for row in table(FAULTS, name)}


def broken(path: str, text: str) -> list[str]:
    """Return what the text of the file ``path`` refers to and a clone does not have."""
    unwrapped = re.sub(r"\s*\n\s*(?:# )?", " ", re.sub(r"https?://\S+", "", text))
    found = [page for page in PAGE.findall(unwrapped) if home(page, path) is None]
    found += [f'{page}, "{section}"' for page, section in cited(unwrapped, path) if section not in sections(page)]
    if path.endswith((".py", ".md")):  # the linter's rules in pyproject look alike
        found += [case for case in named_cases(text) if case not in cases()]
    if path.endswith(".md"):
        found += [target for target, anchor in LINK.findall(text) if not leads_somewhere(path, target, anchor)]
    return found


def cited(text: str, path: str) -> Iterator[tuple[str, str]]:
    """Yield page and section of each citation: PROTOCOL.md, "Errors"; or in a page, of itself: see "Errors"."""
    for name, section in SECTION.findall(text):
        page = home(f"{name}.md", path)
        if page is not None:
            yield page, section
    if path in pages():
        yield from ((path, section) for section in OWN_SECTION.findall(text))


def named_cases(text: str) -> Iterator[str]:
    """Yield the ids in a text; "S2 to S6" is five of them."""
    for first, last in CASE.findall(text):
        for number in range(int(first[1:]), int(last[1:] if last else first[1:]) + 1):
            yield f"{first[0]}{number}"


def home(page: str, path: str) -> str | None:
    """Return the page that a name in the file ``path`` means: from the root, or from beside that file."""
    beside = os.path.normpath(Path(path).parent / page)
    return next((name for name in (page.removeprefix("../"), beside) if name in pages()), None)


def leads_somewhere(path: str, target: str, anchor: str) -> bool:
    if target.startswith("http"):
        return True
    file = (ROOT / path).parent / target if target else ROOT / path
    page = str(file.resolve().relative_to(ROOT.resolve()))
    return file.exists() and (not anchor or anchor in anchors(page))
