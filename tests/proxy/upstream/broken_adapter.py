"""An adapter that fails: one around a whole one, for a compiled class can neither be inherited from nor patched."""

from collections.abc import Mapping
from typing import ClassVar

from proxy.providers.adapter import AttemptFailed, Outcome, Question, UpstreamRequest
from proxy.providers.ollama import OllamaAdapter
from proxy.streams.log import StreamLog
from tests.proxy.stage import REQUEST


class Broken:
    """An adapter with a bug in one of its methods."""

    name: ClassVar = "broken"
    silent = True
    has_finished = False

    def __init__(self, where: str) -> None:
        self._where = where
        self._whole = OllamaAdapter(Question(REQUEST, "m"))

    def request(self) -> UpstreamRequest:
        return self._whole.request()

    def feed(self, chunk: bytes, log: StreamLog) -> Outcome | None:
        self._break("feed")
        return self._whole.feed(chunk, log)

    def end(self, log: StreamLog, *, broke_off: bool = False) -> Outcome:
        self._break("end")
        return self._whole.end(log, broke_off=broke_off)

    def refused(self, status: int, headers: Mapping[str, str], body: bytes) -> AttemptFailed:
        self._break("refused")
        return self._whole.refused(status, headers, body)

    def _break(self, where: str) -> None:
        if where == self._where:
            raise RuntimeError("a bug")
