"""PROTOCOL.md's table of what others call things: each of our words in it is one that the code knows."""

import re

from proxy.settings import ProxySettings
from services.runtime.settings import describe
from services.wire.events import Code
from tests.documents.tables import between

SENT = ("stream_id", "status", "chunks", "bytes", "followers", "resume_window_s", "stage", "start", "done")


def known_words() -> set[str]:
    """Return the words a row may use: fields that are sent, our headers, codes, settings and routes of the document."""
    routes = set(re.findall(r"`((?:GET|POST|DELETE) [^`?]+)`", between("PROTOCOL.md", "gateway-routes")))
    routes |= set(re.findall(r"`((?:GET|POST|DELETE) [^`?]+)`", between("PROTOCOL.md", "proxy-routes")))
    settings = {row.name for row in describe(ProxySettings)}
    return {*SENT, "X-Stream-Id", *map(str, Code), *settings, *routes}


def test_each_of_our_words_for_what_others_call_otherwise_is_one_that_we_use() -> None:
    used = set(re.findall(r"`([^`]+)`", between("PROTOCOL.md", "words")))

    assert used - known_words() == set()


def test_what_others_call_a_session_has_a_word_of_ours_for_each_of_its_parts() -> None:
    rows = [line.split("|")[1].strip() for line in between("PROTOCOL.md", "words").strip().split("\n")[2:]]

    parts = ("streaming session", "active sessions", "chunk count", "time-out", "clean-up")
    assert all(any(part in row for row in rows) for part in parts)
