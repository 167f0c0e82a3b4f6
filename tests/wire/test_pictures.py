import base64

import pytest

from services.wire.pictures import is_picture

HEADS = [b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"GIF87a", b"GIF89a", b"RIFF\x00\n\x00\x00WEBP"]


@pytest.mark.parametrize("head", HEADS)
def test_a_picture_is_known_by_its_first_bytes(head: bytes) -> None:
    assert is_picture(base64.b64encode(head + b"rest").decode())
    assert is_picture(base64.encodebytes(head + b"rest" * 40).decode())
    assert not is_picture(base64.b64encode(b" " + head).decode())


@pytest.mark.parametrize("text", ["", "no base64!", "PHN2Zy8+", "https://example.org/a.png", "ёж"])
def test_anything_else_is_none(text: str) -> None:
    assert not is_picture(text)
