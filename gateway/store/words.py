"""What is searched for: words that are data, never operators. Pure."""

import re
from dataclasses import dataclass
from typing import Final

from gateway.store.rows import without_nul

MOST_CHARACTERS: Final = 200
MARGIN: Final = 60
"""Characters of an excerpt before the word that was found, and twice as many behind it."""
_WITHOUT_SPACES: Final = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af\uf900-\ufaff\U00020000-\U0003ffff]"
)
"""Thai, Lao, Burmese, Khmer, Japanese, Chinese, Korean: their words are not apart, or not alone."""
_ESCAPED: Final = re.compile(r"([\\%_])")


@dataclass(frozen=True, slots=True)
class Words:
    """Words that must all be there, in any order."""

    words: tuple[str, ...]

    @classmethod
    def of(cls, asked: str) -> "Words":
        """Split at spaces, as it is kept; a word without a letter or digit finds nothing by itself, and is left out."""
        return cls(tuple(word for word in without_nul(asked).split() if any(character.isalnum() for character in word)))

    @property
    def are_indexed(self) -> bool:
        """Whether the index knows them, word by word; else the newest texts are looked through."""
        return bool(self.words) and not any(map(_WITHOUT_SPACES.search, self.words))

    @property
    def for_fts5(self) -> str:
        """As SQLite's MATCH takes them: each a phrase."""
        return " ".join('"' + word.replace('"', '""') + '"' for word in self.words)

    @property
    def for_like(self) -> tuple[str, ...]:
        r"""As LIKE takes them, with ``\`` as its escape."""
        return tuple("%" + _ESCAPED.sub(r"\\\1", word) + "%" for word in self.words)


def excerpt(text: str, words: Words) -> str:
    """Return what stands around the first of ``words`` in ``text``, in one line; its beginning, if none is there."""
    lower = text.lower()
    found = [place for word in words.words if (place := lower.find(word.lower())) >= 0]
    begin = max(0, min(found, default=0) - MARGIN)
    end = begin + 3 * MARGIN
    line = " ".join(text[begin:end].split())
    return f"{'…' if begin else ''}{line}{'…' if end < len(text) else ''}"
