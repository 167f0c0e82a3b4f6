"""Scripts without their comments and indentation: half of what the page's source says is for people. Pure.

Lines stay lines, so that an error in the browser names the line of the source. Only what stands on lines of its own is
left out, as the page's style has it; tests/architecture/test_page_source.py holds that no token changes.
"""

from collections.abc import Iterator


def stripped(source: str) -> str:
    """Return ``source``, a script, with its comments as empty lines, and every line from its first character on."""
    return "\n".join(_code_lines(source))


def _code_lines(source: str) -> Iterator[str]:
    within = False
    for line in source.split("\n"):
        text = line.strip()
        begins = not within and text.startswith("/*")
        ends = text.endswith("*/")
        is_comment = within or text.startswith("//") or (begins and (ends or "*/" not in text))
        within = (within or begins) and "*/" not in text
        yield "" if is_comment else line.lstrip()
