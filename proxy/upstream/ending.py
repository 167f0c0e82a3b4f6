"""How a turn ends in which nobody answered: what its caller is told. Pure.

A route of one server ends with that server's failure, as it is. Of several nobody is to blame alone: it says that
nobody is left, and what became of each.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from proxy.upstream.fallback import code_of
from proxy.upstream.pool import UNDESCRIBED, Standing
from proxy.upstream.retry import Past, Route, Server, is_final
from services.wire.events import Code, Failed, TriedServer

RETRY_AFTER_S: Final = (1.0, 30.0)
AI_UNAVAILABLE: Final = "AI unavailable. "
_NOBODY: Final = "No model server may be asked now."


@dataclass(frozen=True, slots=True)
class Ending:
    """The failure of a turn.

    Args:
        wait_s: after how many seconds asking again may help; None where nobody said.
    """

    failed: Failed
    wait_s: float | None = None


def ending_of(
    route: Route[Server],
    history: Sequence[Past[Server]],
    standings: Mapping[Server, Standing],
    name_of: Callable[[Server], str],
) -> Ending:
    """Return the end of a turn behind whose last attempt no other may be made.

    Args:
        name_of: what an operator calls a server.
    """
    if history and (is_final(history) or sum(map(len, route)) == 1):
        return Ending(history[-1].failed.failed, history[-1].failed.wait_s)
    asked = [past for past in history if past.was_asked]
    passed_by = [at for pool in route for one in pool if (at := standings.get(one, UNDESCRIBED)).passed_by]
    wait_s = _shortest_wait_s([*(past.failed.wait_s for past in history), *(at.wait_s for at in passed_by)])
    if history and not asked:  # every line was full, or too slow: as if there were one
        return Ending(history[-1].failed.failed, wait_s)
    codes = [past.failed.failed.code for past in asked]
    if asked and all(code is Code.MODEL_NOT_FOUND for code in codes):
        return Ending(asked[0].failed.failed)
    tried = _tried(route, history, standings, name_of)
    words = asked[0].failed.failed.message.removeprefix(AI_UNAVAILABLE) if asked else _NOBODY
    words = words if words.endswith((".", "!", "?")) else f"{words}."  # a model server's own may have none
    words = f"{words} Tried {', '.join(f'{one.server} ({one.code})' for one in tried)}."
    return Ending(Failed(Code.UPSTREAM_UNAVAILABLE, AI_UNAVAILABLE + words, tried=tried), wait_s)


def _tried(
    route: Route[Server],
    history: Sequence[Past[Server]],
    standings: Mapping[Server, Standing],
    name_of: Callable[[Server], str],
) -> tuple[TriedServer, ...]:
    """Return what became of each server: of one that was asked more than once the last word, in the order of asking."""
    words = {past.attempt.server: code_of(past.failed.why) for past in history}
    passed = {one: standings.get(one, UNDESCRIBED).passed_by for pool in route for one in pool if one not in words}
    words.update({one: why for one, why in passed.items() if why})
    return tuple(TriedServer(name_of(server), word) for server, word in words.items())


def _shortest_wait_s(known: Sequence[float | None]) -> float | None:
    waits = [wait_s for wait_s in known if wait_s is not None]
    if not waits:
        return None
    shortest, longest = RETRY_AFTER_S
    return max(shortest, min(longest, *waits))
