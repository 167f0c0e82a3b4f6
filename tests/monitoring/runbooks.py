"""The runbooks, and what they tell people to ask."""

import re
from typing import Final

from tests.chain import ROOT

RUNBOOKS: Final = ROOT / "docs" / "runbooks"
_QUERY: Final = re.compile(r"`([^`\n]*\b(?:llm_|ollama_|process_|http_server_|python_gc_|gen_ai_\w+_seconds)[^`\n]*)`")


def runbook_queries() -> list[tuple[str, str]]:
    """Return the queries of all runbooks, each with its page."""
    return [
        (page.name, query)
        for page in sorted(RUNBOOKS.glob("*.md"))
        for query in _QUERY.findall(page.read_text(encoding="utf-8"))
    ]
