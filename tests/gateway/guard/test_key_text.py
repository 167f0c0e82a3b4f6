import hashlib
import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.guard.key_text import ALPHABET, KeyText, hash_of, key_text, owner_of

SECRET = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFG"
KEY = key_text("live", "a1B2c3D4", SECRET)


def test_a_key_is_made_of_its_parts_and_read_back_into_them() -> None:
    assert KEY.startswith(f"sk_live_a1B2c3D4_{SECRET}_")
    assert KeyText.parse(KEY) == KeyText("a1B2c3D4", SECRET)


@given(st.text(ALPHABET, min_size=8, max_size=8), st.text(ALPHABET, min_size=43, max_size=43))
def test_every_id_and_secret_make_a_key_that_is_read_back(key_id: str, secret: str) -> None:
    assert KeyText.parse(key_text("test", key_id, secret)) == KeyText(key_id, secret)


@given(st.integers(0, len(KEY) - 1), st.sampled_from(ALPHABET))
def test_one_wrong_character_anywhere_is_no_key(place: int, character: str) -> None:
    typed = KEY[:place] + character + KEY[place + 1 :]

    assert (KeyText.parse(typed) is None) == (typed != KEY)


@pytest.mark.parametrize(
    "text",
    ["", "sk", KEY[:-1], KEY + "0", f" {KEY}", f"{KEY}\n", KEY.replace("sk_", "SK_"), KEY.replace("live", "LIVE"),
     "x" * 10_000, KEY.replace("a1B2", "a1\0B"), KEY.replace("a1B2", "ä1B2"), "' OR 1=1 --", KEY.replace("_", "-")],
)  # fmt: skip
def test_what_has_another_form_is_no_key(text: str) -> None:
    assert KeyText.parse(text) is None


def test_a_key_does_not_show_its_secret() -> None:
    assert SECRET not in repr(KeyText.parse(KEY))


def test_what_is_kept_is_an_hmac_of_the_secret_under_the_pepper() -> None:
    pepper = b"p" * 32

    assert hash_of(pepper, SECRET) == hmac.new(pepper, SECRET.encode(), hashlib.sha256).hexdigest()
    assert hash_of(b"q" * 32, SECRET) != hash_of(pepper, SECRET)


def test_keys_of_one_name_have_one_owner_that_is_not_the_name() -> None:
    pepper = b"p" * 32

    assert owner_of(pepper, "Ada") == hmac.new(pepper, b"owner:Ada", hashlib.sha256).hexdigest()[:32]
    assert owner_of(pepper, "Ada") != owner_of(pepper, "Bob")
