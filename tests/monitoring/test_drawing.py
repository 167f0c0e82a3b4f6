import io
import math

import pytest
from PIL import Image

from deploy.grafana.panel import Limit, Panel, Query, Row, Unit, View
from tests.monitoring.drawing import UNIT_PX, WIDTH_PX, Ask, picture
from tests.monitoring.panels import Series, Window

WINDOW = Window(0.0, 60.0)
LIMIT = Limit(0.9, "Runbook", low=True)
ROW = Row(
    "Every view",
    tuple(
        Panel(view.name, "Seen.", Unit.YES_NO if view is View.STATES else Unit.SECONDS, (Query("up"),), view, limit)
        for view in View
        for limit in (None, LIMIT)
    ),
)


def waves(_query: Query) -> list[Series]:
    """Return the buckets of a histogram, which any view can draw."""
    moments = [WINDOW.step_s * step for step in range(30)]
    return [
        Series(bound, {"le": bound}, tuple((at, float(math.sin(at) < height)) for at in moments))
        for bound, height in (("0.5", 0.0), ("1.0", 0.8), ("+Inf", 2.0))
    ]


@pytest.mark.parametrize("ask", [waves, lambda _query: []], ids=["data", "no data"])
def test_every_view_is_drawn_whatever_came(ask: Ask) -> None:
    """Three lines of seven units, below the row's head; small enough for a page."""
    drawn = picture([ROW], ask, WINDOW)

    with Image.open(io.BytesIO(drawn)) as image:
        assert image.size == (WIDTH_PX, (1 + 4 * 7) * UNIT_PX)
        assert len(image.getcolors() or []) > 8
    assert len(drawn) < 150 << 10
