"""Prose that nobody wrote: word-like tokens, the same for the same seed on every machine and in every run."""

from collections.abc import Iterator
from itertools import islice
from random import Random
from typing import Final

_ONSETS: Final = ("", "b", "br", "d", "f", "g", "gl", "h", "k", "l", "m", "n", "p", "r", "s", "st", "t", "tr", "v", "w")
_VOWELS: Final = ("a", "e", "i", "o", "u", "ai", "ea", "oo")
_CODAS: Final = ("", "", "l", "m", "n", "nd", "r", "rn", "s", "t")
_STRANGE: Final = (" 🌊", " 灯台", " naïve", " ёж", " 👩‍🚀", " <b>&</b>", ' "so"', " \u2028", " \u0085", " —", " \\n")
_STRANGE_SHARE: Final = 0.06  # of words: a text of some hundred tokens meets all kinds
_SENTENCE_WORDS: Final = (4, 14)
_SENTENCES_A_PARAGRAPH: Final = 4


def prose(n: int, seed: int = 0, size: int = 0) -> list[str]:
    """Return the first ``n`` tokens of the text that ``seed`` stands for.

    Args:
        n: how many tokens.
        seed: which text.
        size: bytes of UTF-8 in each token; 0 leaves words as long as they are.
    """
    return list(islice(endless_prose(seed, size), n))


def endless_prose(seed: int = 0, size: int = 0) -> Iterator[str]:
    """Return an iterator over the tokens of the text that ``seed`` stands for; it has no end."""
    tokens = _tokens(Random(seed))  # noqa: S311 a text, not a secret
    return (_sized(token, size) for token in tokens) if size else tokens


def pieces(text: str) -> list[str]:
    """Cut a written text as a tokenizer would: words with the space before them, marks by themselves."""
    words: list[str] = []
    for part in text.split(" "):
        word = " " + part if words else part
        mark = word[-1] if len(word) > 1 and word[-1] in ",;:" else ""
        words += [word.removesuffix(mark), mark] if mark else [word]
    return words


def _tokens(random: Random) -> Iterator[str]:
    """Sentences of words, marks as tokens of their own, a blank line now and then."""
    first = True
    while True:
        for _ in range(_SENTENCES_A_PARAGRAPH):
            yield from _sentence(random, "" if first else " ")
            first = False
        yield "\n\n"
        first = True


def _sentence(random: Random, lead: str) -> Iterator[str]:
    low, high = _SENTENCE_WORDS
    length = low + int(random.random() * (high - low + 1))
    yield lead + _word(random).capitalize()
    for position in range(1, length):
        if random.random() < _STRANGE_SHARE:
            yield _one_of(random, _STRANGE)
        yield " " + _word(random)
        if position == length // 2:
            yield ","
    yield "."


def _word(random: Random) -> str:
    syllables = 1 + int(random.random() * 3)
    parts = (_one_of(random, _ONSETS) + _one_of(random, _VOWELS) + _one_of(random, _CODAS) for _ in range(syllables))
    return "".join(parts)


def _one_of(random: Random, choices: tuple[str, ...]) -> str:
    return choices[int(random.random() * len(choices))]  # random() alone is promised to stay the same


def _sized(token: str, size: int) -> str:
    """Return ``token`` made ``size`` bytes long: filled up, or replaced if it is longer."""
    missing = size - len(token.encode())
    return token + "o" * missing if missing >= 0 else " " + "o" * (size - 1)
