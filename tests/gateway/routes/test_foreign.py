import pytest

from gateway.routes.foreign import is_repeat


@pytest.mark.parametrize(
    ("count", "repeats"),
    [("", False), ("0", False), ("000", False), ("1", True), ("10", True), ("-1", False), ("one", False), ("٣", False)],
)
def test_a_repeat_says_how_many_attempts_there_were(count: str, repeats: bool) -> None:
    assert is_repeat(count) is repeats
