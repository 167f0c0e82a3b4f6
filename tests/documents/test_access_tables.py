"""Who may use what, as PROTOCOL and docs/keys.md tell it, is what the code demands."""

import re

from gateway.guard.keys import Key
from gateway.routes.access import ACCESS
from tests.documents.tables import table


def test_the_protocol_says_which_scope_opens_each_route() -> None:
    told = {path.strip("`"): scope for scope, paths in table("PROTOCOL.md", "access") for path in paths.split(", ")}

    assert told == {path: "none" if scope is None else str(scope) for path, scope in ACCESS.items()}


def test_the_page_of_keys_lists_every_field_of_one() -> None:
    told = [name for names, *_ in table("docs/keys.md", "key-fields") for name in re.findall(r"\w+", names)]

    assert sorted(told) == sorted(Key.model_fields)
