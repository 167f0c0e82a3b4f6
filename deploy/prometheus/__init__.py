"""What Prometheus is told: whom to scrape, what to work out beforehand, when to call somebody.

prometheus.yml          the servers to scrape
objectives.py           what people are promised, as data ──┬─▶ rules/recording.yml   error ratios, by window
error_budgets.py        says it as rules ───────────────────┴─▶ rules/burn_rates.yml  alerts: a budget goes too fast
rules/alerts.yml        the other alerts, by hand
tests/*.yml             promtool's tests of every rule

``python -m deploy.prometheus`` writes the two files that are made; a test compares them.

Why these are made and the others written: an objective is the number that operators change, and by hand it would stand
in four thresholds, four texts and eleven rules. An alert that stands alone is plainest as YAML.
"""
