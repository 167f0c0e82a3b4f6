"""The page's decoder of server-sent events against what a browser makes of the same bytes."""

import json
from typing import Any

import pytest

from tests.browser.visit import Visit
from tests.chain import ROOT

VECTORS = json.loads((ROOT / "tests" / "wire" / "vectors" / "sse.json").read_text())
DECODE = """async ([vectors, sizes]) => {
  const app = document.querySelector("script[type=module]").src;
  const { SseDecoder } = await import(app.replace("app.js", "sse.js"));
  return vectors.map(({ b64 }) => sizes.map((size) => {
    const bytes = Uint8Array.from(atob(b64), (character) => character.charCodeAt(0));
    const decoder = new SseDecoder();
    const events = [];
    for (let at = 0; at < bytes.length; at += size) events.push(...decoder.feed(bytes.subarray(at, at + size)));
    return { events: events.map(({ type, data, lastEventId }) => [type, data, lastEventId]), retry: decoder.retryMs };
  }));
}"""
SIZES = [1, 2, 3, 5, 7, 1 << 30]


async def test_the_decoder_sees_what_a_browser_sees_wherever_the_bytes_were_cut(visit: Visit) -> None:
    found: list[list[dict[str, Any]]] = await visit.page.evaluate(DECODE, [VECTORS, SIZES])
    wrong = [
        (vector["name"], size)
        for vector, decoded in zip(VECTORS, found, strict=True)
        for size, got in zip(SIZES, decoded, strict=True)
        if got != {"events": vector["out"], "retry": vector["retry"]}
    ]

    assert len(VECTORS) == 46
    assert wrong == []


@pytest.mark.parametrize("dripped", ["data: x\\n", "data: x"])
async def test_a_frame_longer_than_any_can_be_is_refused_and_not_kept(visit: Visit, dripped: str) -> None:
    """A hostile gateway must not fill the page's memory: with one endless line, or with endlessly many."""
    refused = await visit.page.evaluate(
        """async (dripped) => {
          const app = document.querySelector("script[type=module]").src;
          const { FrameTooLong, SseDecoder } = await import(app.replace("app.js", "sse.js"));
          const decoder = new SseDecoder();
          const bytes = new TextEncoder().encode(dripped.replace("\\\\n", "\\n").repeat(10_000));
          try {
            for (let n = 0; n < 1000; n += 1) decoder.feed(bytes);
          } catch (error) {
            return error instanceof FrameTooLong;
          }
          return false;
        }""",
        dripped,
    )

    assert refused is True
