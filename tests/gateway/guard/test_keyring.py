from datetime import UTC, datetime

import pytest

from gateway.guard.address import line_of
from gateway.guard.key_text import hash_of, key_text, owner_of
from gateway.guard.keyring import ANYBODY, Keyring, Principal
from gateway.guard.keys import Key

PEPPER = b"p" * 32
SECRET = "s" * 43
NOON = datetime(2026, 11, 28, 12, tzinfo=UTC)
LATER = datetime(2026, 11, 28, 13, tzinfo=UTC)


def a_key(key_id: str = "a1B2c3D4", **fields: object) -> Key:
    return Key.model_validate({"id": key_id, "hash": hash_of(PEPPER, SECRET), "name": "Ada", **fields})


def ring(*keys: Key) -> Keyring:
    return Keyring({key.id: key for key in keys}, PEPPER)


def test_who_brings_a_key_of_the_ring_is_its_principal() -> None:
    key = a_key()

    principal = ring(key).principal_of(key_text("live", "a1B2c3D4", SECRET), NOON)

    assert principal is not None
    assert (principal.key, principal.owner) == (key, owner_of(PEPPER, "Ada"))


@pytest.mark.parametrize(
    "credential",
    [
        "",
        "no key at all",
        key_text("live", "a1B2c3D4", "t" * 43),
        key_text("live", "unknown1", SECRET),
        key_text("live", "a1B2c3D4", SECRET)[:-1] + "!",
    ],
)
def test_what_is_no_key_unknown_or_has_another_secret_is_nobody_s(credential: str) -> None:
    assert ring(a_key()).principal_of(credential, NOON) is None


@pytest.mark.parametrize("field", ["not_before", "not_after"])
def test_a_key_out_of_its_time_is_nobody_s(field: str) -> None:
    key = a_key(not_before=LATER) if field == "not_before" else a_key(not_after=NOON)

    assert ring(key).principal_of(key_text("live", "a1B2c3D4", SECRET), NOON) is None


def test_a_key_under_another_pepper_is_nobody_s() -> None:
    other = Keyring({"a1B2c3D4": a_key()}, b"q" * 32)

    assert other.principal_of(key_text("live", "a1B2c3D4", SECRET), NOON) is None


def test_two_keys_of_one_name_are_one_owner() -> None:
    keys = ring(a_key(), a_key("e5F6g7H8"))

    found = [keys.principal_of(key_text("live", key_id, SECRET), NOON) for key_id in keys.keys]

    assert len({principal.owner for principal in found if principal}) == 1


@pytest.mark.parametrize(
    ("kept", "counts"),
    [
        ([a_key()], True),
        ([a_key(streams=1)], True),
        ([], False),
        ([a_key(hash="0" * 64)], False),
        ([a_key(not_after=NOON)], False),
    ],
)
def test_a_key_counts_as_long_as_the_ring_has_it_with_its_hash_and_in_its_time(kept: list[Key], counts: bool) -> None:
    let_in = Principal(owner_of(PEPPER, "Ada"), a_key())

    assert ring(*kept).still_lets_in(let_in, NOON) is counts


def test_a_keyring_does_not_show_its_pepper() -> None:
    assert "ppp" not in repr(ring(a_key()))


def test_who_has_no_key_takes_turns_by_address_and_an_owner_by_name_alone() -> None:
    assert Principal("", ANYBODY.key, "192.0.2.1").line == line_of("192.0.2.1")
    assert ANYBODY.line == ""
