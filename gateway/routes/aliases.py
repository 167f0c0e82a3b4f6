"""Other names for models: clients that can only ask for their maker's get what the operator has instead. Pure."""

from collections.abc import Iterable, Sequence


class Aliases:
    """From the name that is asked for to the model that answers.

    Args:
        pairs: name and model; a name that ends in ``*`` stands for all that begin so.
    """

    def __init__(self, pairs: Iterable[tuple[str, str]]) -> None:
        self._exact: dict[str, str] = {}
        self._prefixes: list[tuple[str, str]] = []
        for name, model in pairs:
            if name.endswith("*"):
                self._prefixes.append((name[:-1], model))
            else:
                self._exact[name] = model
        self._prefixes.sort(key=lambda pair: len(pair[0]), reverse=True)

    @property
    def names(self) -> Sequence[str]:
        """The names that stand for one model each."""
        return tuple(self._exact)

    def model(self, name: str) -> str:
        """Return the model that is meant: by an exact name, else by the longest beginning, else the name itself."""
        if (exact := self._exact.get(name)) is not None:
            return exact
        return next((model for prefix, model in self._prefixes if name.startswith(prefix)), name)
