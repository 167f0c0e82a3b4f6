import pytest

from gateway.guard.credential import credential_of
from services.wire.events import ApiError, Code


@pytest.mark.parametrize("authorization", ["Bearer sk_1", "bearer sk_1", "BEARER   sk_1 ", " Bearer sk_1"])
def test_a_bearer_is_the_key(authorization: str) -> None:
    assert credential_of([authorization], []) == "sk_1"


def test_x_api_key_is_the_key() -> None:
    assert credential_of([], [" sk_1 "]) == "sk_1"


def test_who_brings_none_brings_the_empty_one() -> None:
    assert (credential_of([], []), credential_of(["Bearer"], []), credential_of([], [""])) == ("", "", "")


@pytest.mark.parametrize("authorization", ["Basic dTpw", "sk_1", "Bearersk_1"])
def test_another_scheme_is_a_key_that_nobody_has(authorization: str) -> None:
    assert credential_of([authorization], []) == authorization


@pytest.mark.parametrize(
    ("authorizations", "api_keys"),
    [(["Bearer sk_1"], ["sk_1"]), (["Bearer sk_1", "Bearer sk_1"], []), ([], ["sk_1", "sk_1"]), (["Basic x"], [""])],
)
def test_two_keys_are_refused_though_they_be_equal(authorizations: list[str], api_keys: list[str]) -> None:
    with pytest.raises(ApiError) as refused:
        credential_of(authorizations, api_keys)

    assert refused.value.failed.code == Code.INVALID_REQUEST
