from collections.abc import Mapping, Sequence

import orjson

from proxy.upstream.models import LISTED_WITHIN_S, InstalledModels
from services.http.client import HttpResponse, TransportError
from tests.proxy.upstream.scripted_transport import Connects, ScriptedTransport

TAGS = {"models": [{"name": "tiny:latest"}, {"name": "big:70b"}]}
PS = {"models": [{"name": "library/TINY", "size_vram": 7}, {"name": "big:70b"}]}


class Answers(ScriptedTransport):
    """Answers tags and ps; None is a server that does not."""

    def __init__(self, tags: object, ps: object) -> None:
        super().__init__(Connects())
        self.said = {"tags": tags, "ps": ps}
        self.asked: list[str] = []

    async def read(self, name: str, *, timeout_s: float = 1.0) -> HttpResponse:
        assert timeout_s == LISTED_WITHIN_S
        self.asked.append(name)
        if self.said[name] is None:
            raise TransportError("timeout")
        return HttpResponse(200, {}, orjson.dumps(self.said[name]))


class Shown:
    """Who shows the models."""

    def __init__(self) -> None:
        self.listed: list[Sequence[str]] = []
        self.loaded: list[Mapping[str, int]] = []
        self.looks: list[frozenset[str] | None] = []

    def models_listed(self, names: Sequence[str]) -> None:
        self.listed.append(names)

    def models_loaded(self, vram_bytes: Mapping[str, int]) -> None:
        self.loaded.append(vram_bytes)


async def known(answers: Answers) -> tuple[bool, InstalledModels, Shown]:
    """Return what one look says, and what is known behind it."""
    shown = Shown()
    installed = InstalledModels(answers, shown, shown.looks.append)
    return await installed.look(), installed, shown


async def test_what_is_listed_and_what_is_in_memory_is_told() -> None:
    any_listed, installed, shown = await known(Answers(TAGS, PS))

    assert shown.listed == [["tiny:latest", "big:70b"]]
    assert shown.loaded == [{"library/TINY": 7, "big:70b": 0}]
    assert shown.looks == [frozenset({"tiny:latest", "big:70b"})]
    assert (any_listed, installed.none_installed) == (True, False)


async def test_a_server_that_lists_no_model_has_none() -> None:
    any_listed, installed, _ = await known(Answers({"models": []}, {"models": []}))

    assert (any_listed, installed.none_installed) == (False, True)


async def test_a_frozen_look_at_the_memory_leaves_what_was_last_known() -> None:
    _, _, shown = await known(Answers(TAGS, None))

    assert (len(shown.listed), shown.loaded, shown.looks) == (1, [], [])


async def test_a_server_that_does_not_answer_is_not_said_to_have_no_model() -> None:
    answers = Answers(None, PS)
    any_listed, installed, shown = await known(answers)

    assert (answers.asked, any_listed, installed.none_installed) == (["tags"], False, False)
    assert (shown.listed, shown.looks) == ([], [])


async def test_what_a_model_can_do_is_known_where_its_list_says_it_all() -> None:
    """A list that says ``completion`` alone was made without reading the model's file."""
    told = {"a": ["completion", "tools"], "b": ["completion"], "c": [], "d": ["completion", "vision"]}
    tags = {"models": [{"name": name, "capabilities": can} for name, can in told.items()]}
    _, installed, _ = await known(Answers(tags, {"models": []}))

    assert installed.capabilities("A:latest") == ("completion", "tools")
    assert [installed.capabilities(name) for name in ("b", "c", "not listed")] == [(), (), ()]
    assert installed.capabilities("d") == ("completion", "vision")
