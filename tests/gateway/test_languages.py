"""In whose shape a path's refusals are written."""

import pytest

from gateway.languages import is_foreign, refusal_of
from services.dialects import ollama, openai_error
from services.dialects.dialect import Refusal
from services.wire import native


@pytest.mark.parametrize(
    ("path", "refusal"),
    [
        ("/api/chat/stream", native.refusal),
        ("/nothing", native.refusal),
        ("/v1", native.refusal),
        ("/v1/chat/completions", openai_error.refusal),
        ("/v1/nothing", openai_error.refusal),
        ("/ollama/api/chat", ollama.refusal),
    ],
)
def test_a_refusal_has_the_shape_of_its_path(path: str, refusal: Refusal) -> None:
    assert refusal_of(path, {}) is refusal


@pytest.mark.parametrize(
    ("path", "foreign"),
    [("/v1/models", True), ("/api/ui/chat", True), ("/api/chat", False), ("/ollama/api/chat", False), ("/v1x", False)],
)
def test_other_makers_languages_are_spoken_under_two_paths(path: str, foreign: bool) -> None:
    assert is_foreign(path) is foreign
