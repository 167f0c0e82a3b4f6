"""Whether a key is good, by the answer to the cheapest request that proves it: the list of models. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from itertools import islice
from typing import Any, Final, assert_never

from proxy.providers.refusals import Complaint

NAMES_MAX: Final = 4096
"""Most models of a list that are kept: the longest has some hundreds."""


class KeyState(StrEnum):
    """What is known of a key."""

    OK = "ok"
    REFUSED = "refused"
    NO_RIGHTS = "no_rights"
    NO_QUOTA = "no_quota"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class KeyCheck:
    """What a check has shown.

    Args:
        status: of its answer; 0 where none came.
        models: the names in the list that it brought.
    """

    state: KeyState
    status: int = 0
    models: tuple[str, ...] = ()

    def sentence(self, key: str) -> str:
        """Return it for people.

        Args:
            key: what its operator calls the key: ``GROQ_API_KEY``, or a file.
        """
        match self.state:
            case KeyState.OK:
                return f"{key} is valid"
            case KeyState.REFUSED:
                return f"{key} was refused ({self.status})"
            case KeyState.NO_RIGHTS:
                return f"{key} is valid but may not list models ({self.status})"
            case KeyState.NO_QUOTA:
                return f"{key}: the quota is used up ({self.status})"
            case KeyState.UNKNOWN:
                return f"{key} could not be checked ({self.status})" if self.status else f"{key}: no answer"
            case _:
                assert_never(self.state)


def judged(status: int, complaint: Complaint | None, models: Iterable[str]) -> KeyCheck:
    """Return what an answer to a check has shown.

    Args:
        complaint: what its body says, where it is the provider's refusal.
        models: the names in its list.
    """
    said = complaint or Complaint()
    if status == 200:
        return KeyCheck(KeyState.OK, status, tuple(islice(models, NAMES_MAX)))
    if status == 401 or said.is_key:
        return KeyCheck(KeyState.REFUSED, status)
    if status == 402 or said.is_quota:
        return KeyCheck(KeyState.NO_QUOTA, status)
    return KeyCheck(KeyState.NO_RIGHTS if status == 403 else KeyState.UNKNOWN, status)


def names_in(answer: Mapping[str, Any], field: str, name: str) -> Iterable[str]:
    """Return the names in a list of models.

    Args:
        field: where the list is.
        name: where each of its entries has its name.
    """
    listed = answer.get(field)
    entries = listed if isinstance(listed, list) else []
    return (one[name] for one in entries if isinstance(one, dict) and isinstance(one.get(name), str))
