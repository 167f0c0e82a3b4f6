"""PROTOCOL.md's tables of routes, bodies and seed frames against the code."""

import re
from collections.abc import Iterator
from typing import Any

from aiohttp import web

from gateway.app import GatewayService
from gateway.settings import GatewaySettings
from proxy.app import ProxyService
from proxy.settings import ProxySettings
from services.dialects import ollama_request
from services.runtime.settings import read_settings
from services.wire import bodies
from services.wire.events import EVENT_NAMES, Signature
from tests.documents.tables import table, words

PROBES = {"/health", "/livez", "/readyz"}


def routes_listed(marker: str) -> set[tuple[str, str]]:
    """Return method and path of each route; a path without a method has that of the one before it."""
    found, method = set(), ""
    for cell in words("PROTOCOL.md", marker):
        for named, path in re.findall(r"(?:(GET|POST|PATCH|DELETE) )?(/[^`,?]*)", cell):
            method = named or method
            found.add((method, re.sub(r"\{\w+\}", "{}", path.strip())))
    return found


def routes_of(app: web.Application) -> set[tuple[str, str]]:
    return {
        (route.method, re.sub(r"\{\w+\}", "{}", route.resource.canonical))
        for route in app.router.routes()
        if route.resource is not None and route.method != "HEAD"  # where GET is, as the page says of all of them
    }


async def test_the_gateway_s_routes_are_those_of_the_table() -> None:
    assert routes_listed("gateway-routes") == routes_of(GatewayService(read_settings(GatewaySettings, {})).app)


async def test_the_proxy_s_routes_are_those_of_the_table() -> None:
    assert routes_listed("proxy-routes") == routes_of(ProxyService(read_settings(ProxySettings, {})).app)


def properties(schema: dict[str, Any]) -> Iterator[str]:
    for part in (schema, *schema.get("$defs", {}).values()):
        yield from part["properties"]


def test_the_table_of_bodies_names_every_field_and_no_other() -> None:
    sides = (bodies.GatewayChat, bodies.GatewayGenerate, ollama_request.OllamaChat, ollama_request.Generate)
    declared = {name for side in sides for name in properties(side.model_json_schema())}
    *fields, others = table("PROTOCOL.md", "bodies")
    in_first_column = {name for row in fields for name in re.findall(r"[a-z_]+", row[0])}
    anywhere = {name for row in fields for cell in row for name in re.findall(r"[a-z_]+", cell)}

    assert others[0].startswith("anything else")
    assert in_first_column <= declared
    assert declared <= anywhere


def test_every_event_has_its_seed_frame() -> None:
    sent = {name for event, name in EVENT_NAMES.items() if event is not Signature}

    assert set(words("PROTOCOL.md", "seed")) == sent
