"""Which pictures are passed on: known by their first bytes, whatever they are called. Pure."""

import base64
import re
from typing import Final

_LINE_BREAKS: Final = {ord("\r"): None, ord("\n"): None}
_HEAD: Final = re.compile(rb"\x89PNG\r\n\x1a\n|\xff\xd8\xff|GIF8[79]a|RIFF....WEBP", re.DOTALL)


def is_picture(text: str) -> bool:
    """Whether ``text`` is the base64 of a PNG, JPEG, WebP or GIF image.

    Line breaks are part of the base64 that MIME's encoders write, and Go's decoder skips them.
    """
    try:
        data = base64.b64decode(text.translate(_LINE_BREAKS), validate=True)
    except ValueError:
        return False
    return _HEAD.match(data) is not None
