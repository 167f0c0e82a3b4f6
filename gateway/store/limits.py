"""How much there may be of what is kept. Pure."""

from typing import Final

PAGE: Final = 50
PAGE_BYTES: Final = 8 << 20
"""Of messages, text and images: a page of them ends early rather than be longer, but holds one."""
MOST_CONVERSATIONS: Final = 10_000
"""Of one owner: thirty a day for a year."""
MOST_MESSAGES: Final = 10_000
"""Of one conversation, branches included."""
MOST_TITLE: Final = 200
MOST_SYSTEM: Final = 100_000
FILE_BYTES: Final = 16 << 20
"""Of an import; an export comes in pieces that fit."""
