"""The tables of docs/troubleshooting.md speak of stages, codes and settings that there are."""

import re

from gateway.relay.timeline import OWN_STAGES
from proxy.streams.timeline import STAGES
from services.wire.events import Code
from tests.documents.declared import settings_of
from tests.documents.tables import between, table


def test_every_stage_of_both_servers_has_its_advice() -> None:
    listed = {
        (server, stage) for server, stages, *_ in table("docs/troubleshooting.md", "time") for stage in _words(stages)
    }
    proxy_s = {stage for server, stage in listed if server in {"proxy", "both"}}
    gateway_s = {stage for server, stage in listed if server in {"gateway", "both"}}

    assert proxy_s == set(STAGES)
    assert gateway_s == {*OWN_STAGES, "upstream"}


def test_the_codes_and_settings_of_the_troubleshooting_are_real() -> None:
    text = between("docs/troubleshooting.md", "trouble")
    settings = {row.name for package in ("proxy", "gateway") for row in settings_of(package)}
    codes = set(re.findall(r"`([a-z]+_[a-z_]+)`", text)) - {code for code in _words(text) if code.startswith("llm_")}

    assert codes <= set(Code)
    assert set(re.findall(r"SLUICE_[A-Z_]+", text)) <= settings


def _words(cell: str) -> list[str]:
    return re.findall(r"[a-z_]+", cell)
