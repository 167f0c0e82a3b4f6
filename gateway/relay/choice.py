"""Which proxies are asked for a new stream, and in which order. Pure: what is known of them, and chance, come in.

Who can serve a model is ready and lists it. The first to be asked is the less loaded of two that chance draws: nearly
as good as the least loaded of all, and gateways that know the same do not all run to the same one. The others follow,
for the case that the first refuses. Where nobody can serve, all that might are asked: one of them can say why not.
"""

import hashlib
from collections.abc import Container, Mapping
from typing import Final

from gateway.relay.standing import Standing, State

_SERVES: Final = frozenset({State.READY})
_MAY_HOLD: Final = frozenset({State.READY, State.DRAINING})

Proxies = Mapping[str, Standing]
"""What is known of each, by its name."""


def choose(proxies: Proxies, model: str, chances: tuple[float, float]) -> list[str]:
    """Return who is asked for a new stream of ``model``, a canonical name, in turn.

    Args:
        chances: two random numbers in [0, 1).
    """
    able = _able(proxies, model, _SERVES)
    if len(able) < 2:
        return able

    def load(name: str) -> tuple[int, int]:
        return proxies[name].load(model)

    two = (able.pop(int(chance * len(able))) for chance in chances)
    first, second = sorted(two, key=load)
    return [first, *sorted([second, *able], key=load)]


def choose_by_key(proxies: Proxies, model: str, owner: str, key: str) -> list[str]:
    """Return the same for a request that is to be one with others of its Idempotency-Key, at whatever gateway.

    By rendezvous hashing: the order is the same everywhere, and stays the same for most keys when a proxy comes or
    goes. One that drains may hold the key's stream, and else refuses at once.
    """

    def weight(name: str) -> bytes:
        return hashlib.sha256(f"{owner}\x00{key}\x00{name}".encode()).digest()

    return sorted(_able(proxies, model, _MAY_HOLD), key=weight)


def _able(proxies: Proxies, model: str, states: Container[State]) -> list[str]:
    known = [name for name, standing in proxies.items() if standing.may_be_asked]
    listing = [name for name in known if proxies[name].lists(model)] or known
    return [name for name in listing if proxies[name].state in states] or listing
