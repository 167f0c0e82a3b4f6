"""Names of simulated models, each its own: a permit and a line are per model, so cases do not meet."""

import itertools
from dataclasses import dataclass
from typing import Final

from services.simulator.prose import prose

_SEEDS: Final = itertools.count(1)


@dataclass(frozen=True)
class Scripted:
    """A model's name and the tokens that it will say."""

    name: str
    tokens: list[str]

    @property
    def text(self) -> str:
        """The whole answer."""
        return "".join(self.tokens)

    def after(self, number: int) -> str:
        """Return the text that follows event ``number``: 1 is `start`, the first token is 2."""
        return "".join(self.tokens[max(0, number - 1) :])


def scripted(base: str = "sim", *, tokens: int = 50, size: int = 0, **parameters: object) -> Scripted:
    """Return a model nobody else asks for; a parameter that is a word of Python ends in ``_``."""
    seed = next(_SEEDS)
    given = {"tokens": tokens, "seed": seed, "size": size, **parameters}
    listed = ",".join(f"{name.rstrip('_')}={value}" for name, value in given.items())
    return Scripted(f"{base}:{listed}", prose(tokens, seed, size))
