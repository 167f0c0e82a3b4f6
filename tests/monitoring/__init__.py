"""The operators' monitoring as it is deployed: on a real Prometheus that scrapes real servers."""
