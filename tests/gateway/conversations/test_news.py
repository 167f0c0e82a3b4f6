import pytest

from gateway.conversations.news import Versions, frames_of

BEFORE: Versions = {"cv_1": (1, ("ms_1",)), "cv_2": (1, ())}
FINISHED = b'event: finished\ndata: {"type":"finished","conversation_id":"cv_1","message_id":"ms_1","version":2}\n\n'


@pytest.mark.parametrize(
    ("now", "frames"),
    [
        (BEFORE, []),
        (
            {**BEFORE, "cv_1": (2, ())},
            [b'event: changed\ndata: {"type":"changed","conversation_id":"cv_1","version":2}\n\n', FINISHED],
        ),
        (
            {**BEFORE, "cv_3": (7, ("ms_3",))},
            [b'event: changed\ndata: {"type":"changed","conversation_id":"cv_3","version":7}\n\n'],
        ),
        ({"cv_1": (1, ("ms_1",))}, [b'event: deleted\ndata: {"type":"deleted","conversation_id":"cv_2"}\n\n']),
    ],
    ids=["nothing", "an answer ended", "a new one", "one was deleted"],
)
def test_what_changed_is_told_by_ids_and_versions(now: Versions, frames: list[bytes]) -> None:
    assert frames_of(BEFORE, now, most=500) == frames


def test_one_that_has_only_become_too_old_to_be_watched_is_not_called_deleted() -> None:
    assert frames_of(BEFORE, {"cv_1": BEFORE["cv_1"], "cv_3": (1, ())}, most=2) == [
        b'event: changed\ndata: {"type":"changed","conversation_id":"cv_3","version":1}\n\n'
    ]
