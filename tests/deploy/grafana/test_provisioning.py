"""What Grafana is told at its start agrees with what it is given, and with Prometheus' configuration."""

from deploy.grafana.__main__ import FILE
from deploy.grafana.json_model import LOADED_FROM
from tests.architecture.source import ROOT
from tests.monitoring.rules import DEPLOYED, yaml_of

PROVISIONING = FILE.parents[1] / "provisioning"
(SOURCE,) = yaml_of(PROVISIONING / "datasources" / "prometheus.yaml")["datasources"]
(PROVIDER,) = yaml_of(PROVISIONING / "dashboards" / "sluice.yaml")["providers"]


def test_the_data_source_is_the_one_that_the_dashboard_starts_with() -> None:
    assert {"text": SOURCE["name"], "value": SOURCE["uid"]} == LOADED_FROM


def test_grafana_knows_how_often_prometheus_scrapes() -> None:
    """Else its shortest window has one sample, and every rate is empty."""
    scraped = yaml_of(DEPLOYED / "prometheus.yml")["global"]["scrape_interval"]

    assert SOURCE["jsonData"]["timeInterval"] == scraped


def test_the_dashboard_is_looked_for_where_compose_puts_it_and_the_numbers_where_its_prometheus_is() -> None:
    services = yaml_of(ROOT / "docker-compose.yml")["services"]

    assert f"./deploy/grafana/dashboards:{PROVIDER['options']['path']}:ro" in services["grafana"]["volumes"]
    assert "./deploy/grafana/provisioning:/etc/grafana/provisioning:ro" in services["grafana"]["volumes"]
    assert SOURCE["url"].removeprefix("http://").partition(":")[0] in services


def test_the_dashboard_is_changed_in_the_code_and_not_in_grafana() -> None:
    assert (PROVIDER["allowUiUpdates"], SOURCE["editable"]) == (False, False)
