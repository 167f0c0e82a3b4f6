"""The keys that count now: whose is this one, and may it be used? Pure."""

import hmac
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from gateway.guard.address import line_of
from gateway.guard.key_text import KeyText, hash_of, owner_of
from gateway.guard.keys import Key, Keys
from gateway.guard.scopes import Scope

_NOBODYS: Final = "0" * 64
"""Compared where there is no such id: who tries ids learns nothing from the time it takes."""


@dataclass(frozen=True, slots=True)
class Principal:
    """Who asks: whose streams they are on the hop (``owner``), and by which key; where there are none, from where."""

    owner: str
    key: Key
    address: str = ""

    @property
    def line(self) -> str:
        """As whom they take turns in a waiting line where they have no owner's name."""
        return line_of(self.address) if self.address else ""


ANYBODY: Final = Principal("", Key.model_construct(id="", hash="", name="", scopes=frozenset(Scope)))
"""Who everybody is where there are no keys: may do all, and is called nothing on the hop."""


@dataclass(frozen=True, slots=True)
class Keyring:
    """A keys file with its pepper."""

    keys: Keys
    pepper: bytes = field(repr=False)

    def principal_of(self, credential: str, now: datetime) -> Principal | None:
        """Return who brings ``credential``; None for what is no key, unknown, or not to be used at ``now``.

        Which of these it was is nobody's business: all cost the same and are answered alike.
        """
        text = KeyText.parse(credential)
        if text is None:
            return None
        key = self.keys.get(text.id)
        is_right = hmac.compare_digest(hash_of(self.pepper, text.secret), key.hash if key else _NOBODYS)
        if key is None or not is_right or not key.lives(now):
            return None
        return Principal(owner_of(self.pepper, key.name), key)

    def still_lets_in(self, principal: Principal, now: datetime) -> bool:
        """Return whether who was let in by a key would be at ``now``: it is there, with the same hash, in its time."""
        key = principal.key
        kept = self.keys.get(key.id)
        return kept is not None and kept.hash == key.hash and kept.lives(now)
