"""Write the dashboard that Grafana loads: ``python -m deploy.grafana``."""

from pathlib import Path
from typing import Final

from deploy.grafana.json_model import text

FILE: Final = Path(__file__).parent / "dashboards" / "sluice.json"

if __name__ == "__main__":
    FILE.write_text(text(), encoding="utf-8")
