"""How long a function and a file may be at most: here, in the tests and in the page."""

from typing import Final

MAX_FUNCTION_LINES: Final = 50
MAX_FILE_LINES: Final = 400
