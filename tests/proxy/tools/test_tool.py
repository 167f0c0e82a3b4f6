"""A tool's result has a bound, and who has no tools offers none."""

import pytest

from proxy.tools.tool import Outcome, cut
from proxy.tools.toolbox import NoTools
from services.wire.events import ApiError, Code


@pytest.mark.parametrize(
    ("text", "most", "kept"),
    [
        ("", 0, ""),
        ("abc", 3, "abc"),
        ("abcd", 3, "abc[cut: 3 of 4 bytes]"),
        ("aé", 2, "a[cut: 1 of 3 bytes]"),
        ("灯台", 3, "灯[cut: 3 of 6 bytes]"),
        ("🌊", 3, "[cut: 0 of 4 bytes]"),
    ],
)
def test_a_result_is_cut_at_a_character_and_says_so(text: str, most: int, kept: str) -> None:
    assert cut(text, most) == kept


async def test_who_has_no_tools_offers_none_and_refuses_one_by_name() -> None:
    none = NoTools()

    assert (none.offer(None, demanded=False), none.offer(["clock"], demanded=False)) == ((), ())
    assert none.check("clock", {}) is None
    assert await none.call("clock", {}) == Outcome(False, "There is no such tool.")
    with pytest.raises(ApiError) as refused:
        none.offer(["clock"], demanded=True)
    assert refused.value.failed.code is Code.INVALID_REQUEST
