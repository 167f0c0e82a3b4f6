"""The shapes that the dashboard's expressions have. Pure: names and label matchers in, PromQL out.

Sums come first: a quantile is taken of buckets that were added up, never of quantiles. Means add, quantiles do not.
"""

from typing import Final

MODEL: Final = "gen_ai_request_model"
# Matchers. Both servers declare most families, each as it saw them: an expression says whose it means.
CHOSEN: Final = f'{MODEL}=~"$model"'
GATEWAY: Final = 'job="gateway"'
PROXY: Final = 'job="proxy"'
READERS: Final = f"{GATEWAY},{CHOSEN}"
MODELS: Final = f"{PROXY},{CHOSEN}"
PROCESSES: Final = 'job=~"$job",instance=~"$instance"'


def rate(counter: str, *by: str, where: str) -> str:
    """Return how much a counter grows in a second, added up over all but the labels ``by``."""
    return f"sum{_by(by)}(rate({counter}{{{where}}}[$__rate_interval]))"


def mean(histogram: str, *by: str, where: str) -> str:
    """Return the mean of what a histogram was told."""
    return ratio(rate(f"{histogram}_sum", *by, where=where), rate(f"{histogram}_count", *by, where=where))


def quantile(share: float, histogram: str, *by: str, where: str) -> str:
    """Return the value that ``share`` of what a histogram was told does not pass."""
    return f"histogram_quantile({share:g}, {rate(f'{histogram}_bucket', *by, 'le', where=where)})"


def beyond(bound_s: float, histogram: str, where: str) -> str:
    """Return the share of what a histogram was told that passed one of its bounds."""
    # "1.0": Prometheus before 3 compares the text of bounds
    within = rate(f"{histogram}_bucket", where=f'{where},le="{float(bound_s)}"')
    return f"1 - {ratio(within, rate(f'{histogram}_count', where=where))}"


def buckets(histogram: str, where: str) -> str:
    """Return how many fell into each bucket, for a heatmap."""
    return f"sum by (le) (increase({histogram}_bucket{{{where}}}[$__rate_interval]))"


def ratio(part: str, whole: str) -> str:
    """Return a quotient of two sums by the same labels."""
    return f"{part} / {whole}"


def _by(labels: tuple[str, ...]) -> str:
    return f" by ({', '.join(labels)}) " if labels else ""
