"""What a bare HTTP status means in our codes: a refusal that no handler of ours has put into words."""

from collections.abc import Mapping
from typing import Final

from services.wire.events import ApiError, Code, Failed

_CODE_OF_STATUS: Final[Mapping[int, Code]] = {
    400: Code.INVALID_REQUEST,
    403: Code.FORBIDDEN,
    404: Code.NOT_FOUND,
    405: Code.METHOD_NOT_ALLOWED,
    408: Code.REQUEST_TIMEOUT,
    413: Code.PAYLOAD_TOO_LARGE,
    415: Code.UNSUPPORTED_MEDIA_TYPE,
    421: Code.MISDIRECTED,
}
_ROUTERS_WORDS: Final[Mapping[int, str]] = {
    404: "There is no such route here.",
    405: "This route is not asked by this method; Allow names those that do.",
}


def refused_by_status(status: int, message: str) -> ApiError:
    """Return the refusal that a bare HTTP status means; the router's own has no words worth passing on."""
    code = _CODE_OF_STATUS.get(status, Code.INVALID_REQUEST if 400 <= status < 500 else Code.INTERNAL)
    return ApiError(Failed(code, _ROUTERS_WORDS.get(status, message)))
