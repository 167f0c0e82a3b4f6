"""Write the rules that follow from the objectives: ``python -m deploy.prometheus``."""

from pathlib import Path

from deploy.prometheus.error_budgets import burn_rate_alerts, recording_rules

RULES = Path(__file__).parent / "rules"

if __name__ == "__main__":
    (RULES / "recording.yml").write_text(recording_rules(), encoding="utf-8")
    (RULES / "burn_rates.yml").write_text(burn_rate_alerts(), encoding="utf-8")
