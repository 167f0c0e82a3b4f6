"""A picture of a request, which is base64, as other languages write it. Pure."""

from typing import Final

_TYPES: Final = (("iVBOR", "png"), ("/9j/", "jpeg"), ("R0lG", "gif"), ("UklG", "webp"))
"""How the base64 of each kind begins: the four that bodies.py takes."""


def image_type(image: str) -> str:
    """Return which kind of picture it is: the second half of its media type."""
    begins = base64_of(image[:16])
    return next((kind for head, kind in _TYPES if begins.startswith(head)), "png")


def base64_of(image: str) -> str:
    """Return it without the line breaks that it may hold, and that not everybody takes."""
    return "".join(image.split())


def data_url(image: str) -> str:
    """Return it as an address that holds it."""
    return f"data:image/{image_type(image)};base64,{base64_of(image)}"
