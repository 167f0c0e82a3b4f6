"""From an answer's lines to the bytes of its response, by way of the fault that its script asks for."""

from collections.abc import Callable

from services.simulator import byte_faults, line_faults
from services.simulator.framing import chunked, coalesce, in_pieces
from services.simulator.replies import NDJSON, head
from services.simulator.script import Script
from services.simulator.steps import MakerSteps, Steps


def respond(answer: MakerSteps, script: Script, keep_alive: bool, now_s: Callable[[], float]) -> Steps:
    """Return the steps that send ``answer``, sound or not.

    Args:
        answer: a sound one, line by line.
        script: names the fault, and how the bytes are cut.
        keep_alive: whether the reader may use the connection again.
        now_s: asked once, when the header is made.
    """

    def opening(framing: int | str | None) -> bytes:
        stays = keep_alive and framing is not None
        return head(200, {"Content-Type": NDJSON}, now_s(), stays, framing)

    if (bend := line_faults.MAKERS.get(script.fault)) is not None:
        answer = bend(answer, script)
    make = byte_faults.MAKERS.get(script.fault)
    steps = _chunked_when_due(opening, answer) if make is None else make(answer, script, opening)
    return sent(steps, script)


def sent(steps: Steps, script: Script) -> Steps:
    """Return ``steps`` with their bytes gathered or cut as ``burst`` and ``piece`` say."""
    steps = coalesce(steps, script.burst) if script.burst > 1 else steps
    return in_pieces(steps, script.piece) if script.piece else steps


def _chunked_when_due(opening: Callable[[str], bytes], answer: MakerSteps) -> Steps:
    yield from chunked(opening("chunked"), answer)
