"""What operators look at: one Grafana dashboard, as code.

promql      the few shapes that expressions have ────┐
limits      where a panel turns red, and why there ──┴─▶ panel ─▶ rows/  the panels themselves, a row a file
json_model  rows as the JSON that Grafana loads: places, thresholds, variables, annotations
dashboards/, provisioning/                      that JSON, and how Grafana finds it and its data source

``python -m deploy.grafana`` writes dashboards/sluice.json; a test compares it.
"""
