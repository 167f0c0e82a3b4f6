"""How thoroughly Hypothesis looks: enough to notice on a laptop, ten times as long in the CI."""

import os

import hypothesis

# No deadline an example: the machine may be busy, and no test here is about speed.
hypothesis.settings.register_profile("laptop", max_examples=200, deadline=None)
hypothesis.settings.register_profile("ci", max_examples=2_000, deadline=None)
hypothesis.settings.load_profile("ci" if os.environ.get("CI") == "true" else "laptop")
