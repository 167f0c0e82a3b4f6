"""Which key a request brings: one place that reads them, so that no second header passes another check. Pure."""

from collections.abc import Sequence
from typing import Final

from services.wire.events import ApiError, Code, Failed

_TWO_KEYS: Final = Failed(Code.INVALID_REQUEST, "Send one key, in Authorization or in X-Api-Key, and not two.")
_BEARER: Final = "bearer"


def credential_of(authorizations: Sequence[str], api_keys: Sequence[str]) -> str:
    """Return the key that a request brings in the values of `Authorization` and `X-Api-Key`, as sent; "" for none.

    An `Authorization` of another scheme than Bearer is a key that nobody has: it is not overlooked.

    Raises:
        ApiError: it brings two, be they equal.
    """
    if len(authorizations) + len(api_keys) > 1:
        raise ApiError(_TWO_KEYS)
    if not authorizations:
        return api_keys[0].strip() if api_keys else ""
    scheme, _, credential = authorizations[0].strip().partition(" ")
    return credential.strip() if scheme.lower() == _BEARER else authorizations[0]
