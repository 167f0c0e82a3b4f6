"""The table of docs/metrics.md against what the servers register."""

import re

import gateway.metrics
import proxy.metrics
from tests.documents.tables import table

Family = tuple[str, str, tuple[str, ...]]


def test_the_readme_lists_every_family_with_its_type_and_labels_and_no_other() -> None:
    in_code: set[Family] = {*proxy.metrics.families(), *gateway.metrics.families()}
    in_readme = {
        (name, kind, tuple(sorted(re.findall(r"\w+", labels))))
        for name, kind, labels, *_ in table("docs/metrics.md", "metrics")
    }

    assert in_readme == {(name, kind, tuple(sorted(labels))) for name, kind, labels in in_code}
