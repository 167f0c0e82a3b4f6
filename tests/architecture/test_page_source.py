"""The page's source, by the rules that the rest is held to: types, sizes, nothing that parses a string as HTML."""

import re
import subprocess
from pathlib import Path

import pytest

from services.webchat.stripping import stripped
from tests.architecture.limits import MAX_FILE_LINES, MAX_FUNCTION_LINES
from tests.architecture.source import ROOT
from tests.npm_packages import installed

PAGE = ROOT / "services" / "webchat"
SCRIPTS = sorted((PAGE / "static" / "js").glob("*.js"))
SINKS = re.compile(
    r"\b(?:innerHTML|outerHTML|insertAdjacentHTML|setHTMLUnsafe|parseFromString|createContextualFragment|srcdoc)\b"
    r"|document\.write|\beval\(|new Function|setTimeout\(\s*[\"'`]"
)


@pytest.fixture(scope="module")
def tools() -> Path:
    return installed(ROOT / "tests" / "browser")


def test_the_types_that_the_comments_say_are_true(tools: Path) -> None:
    compiler = ["node", str(tools / "node_modules" / "typescript" / "bin" / "tsc"), "--project", str(PAGE)]

    checked = subprocess.run(compiler, capture_output=True, text=True, timeout=60, check=False)

    assert checked.stdout.strip().split("\n") == [""]


def test_no_function_of_the_page_is_longer_than_fifty_lines(tools: Path) -> None:
    counting = ["node", str(ROOT / "tests" / "architecture" / "function_lines.mjs"), str(tools), *map(str, SCRIPTS)]

    counted = subprocess.run(counting, capture_output=True, text=True, timeout=60, check=True).stdout
    lengths = [(int(lines), where) for lines, _, where in (row.partition(" ") for row in counted.strip().split("\n"))]

    assert len(lengths) > 100
    assert [where for lines, where in lengths if lines > MAX_FUNCTION_LINES] == []


def test_what_is_sent_without_comments_is_the_same_script(tools: Path, tmp_path: Path) -> None:
    for path in SCRIPTS:
        (tmp_path / path.name).write_text(stripped(path.read_text()))
    comparing = ["node", str(ROOT / "tests" / "architecture" / "same_tokens.mjs"), str(tools), str(tmp_path)]

    compared = subprocess.run([*comparing, *map(str, SCRIPTS)], capture_output=True, text=True, timeout=60, check=True)

    assert compared.stdout == ""


def test_no_file_of_the_page_is_longer_than_four_hundred_lines() -> None:
    files = [path for path in (PAGE / "static").rglob("*") if path.suffix in {".js", ".css", ".html"}]
    long = {path.name: lines for path in files if (lines := path.read_text().count("\n")) > MAX_FILE_LINES}

    assert long == {}


def test_nothing_gives_a_string_to_the_html_parser_or_to_the_compiler() -> None:
    found = [f"{path.name}: {match[0]}" for path in SCRIPTS for match in SINKS.finditer(path.read_text())]

    assert found == []


def test_no_word_of_the_table_is_left_over_and_none_is_missing() -> None:
    words = (PAGE / "static" / "js" / "words.js").read_text()
    listed = set(re.findall(r"^  (\w+): \"", words, re.MULTILINE))
    others = "\n".join(path.read_text() for path in SCRIPTS if path.name != "words.js")
    asked = set(re.findall(r"\bt\(\"(\w+)\"", others))

    assert asked <= listed
    assert [word for word in sorted(listed) if not is_used(word, others)] == []


def is_used(word: str, scripts: str) -> bool:
    """Whether the page asks for a word by its name; one with a prefix may be asked for by the rest of it."""
    return f'"{word}"' in scripts or "_" in word or word in NAMED_BY_THE_GATEWAY


NAMED_BY_THE_GATEWAY = {"asking", "queued", "connecting", "loading", "prefill", "waiting", "retrying", "approval"}
