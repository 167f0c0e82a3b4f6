"""A breach of each rule, planted into the source as it is, is seen and named."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from tests.architecture import rules
from tests.architecture.rules import Modules
from tests.architecture.source import Module, source


def planted(name: str, text: str) -> Modules:
    """The source with one more line at the end of the module ``name``, or with one more module."""
    modules = dict(source())
    module = modules.get(name) or Module(name, modules["proxy.app"].path, "")
    modules[name] = replace(module, text=f"{module.text}\n{text}\n")
    return modules


@pytest.mark.parametrize(
    ("rule", "name", "text", "breach"),
    [
        (rules.homeless, "services.cellar", "", "services.cellar has no row in ARROWS"),
        (rules.homeless, "gateway.cellar", "", "gateway.cellar has no floor in FLOORS"),
        (
            rules.strange_imports,
            "services.wire.sse",
            "import services.runtime.log",
            "services.wire.sse imports services",
        ),
        (
            rules.strange_imports,
            "gateway.relay.hop",
            "from proxy import settings",
            "gateway.relay.hop imports proxy.settings",
        ),
        (rules.strange_imports, "proxy.app", "def f():\n    import deploy", "proxy.app imports deploy"),
        (
            rules.upward_imports,
            "proxy.routes.pages",
            "from proxy.app import ProxyService",
            "proxy.routes.pages imports proxy.app, which is above it",
        ),
        (
            rules.upward_imports,
            "gateway.relay.relay",
            "from gateway import metrics",
            "gateway.relay.relay imports gateway.metrics",
        ),
        (
            rules.upward_imports,
            "proxy.providers.ollama",
            "from ..upstream import call",
            "proxy.providers.ollama imports proxy.upstream.call, which is above it",
        ),
        (rules.upward_imports, "proxy", "from proxy import settings", "proxy imports proxy.settings"),
        (rules.circles, "proxy.streams.log", "import proxy.streams.stream", "proxy.streams.stream"),
    ],
)
def test_an_import_against_the_arrows_is_seen(
    rule: Callable[[Modules], list[str]], name: str, text: str, breach: str
) -> None:
    assert any(found.startswith(breach) or breach in found.split(" -> ") for found in rule(planted(name, text)))


@pytest.mark.parametrize(
    "name", ["proxy.streams.timeline", "gateway.relay.timeline", "proxy.providers.ollama", "services.wire.sse"]
)
@pytest.mark.parametrize(
    ("text", "breach"),
    [
        ("import random", "imports random"),
        ("def f():\n    from random import random\n    return random()", "imports random"),
        ("def f(rng):\n    return rng.random()", "uses random()"),
        ("import secrets", "imports secrets"),
        ("import uuid", "imports uuid"),
        ("import os", "imports os"),
        ("from time import monotonic", "imports time"),
        ("import time", "imports time"),
        ("import datetime\nNOW = datetime.datetime.now()", "uses .now"),
        ("from datetime import date\nCLOCK = date.today", "uses .today"),
        ("def f(loop):\n    return loop.time()", "uses time()"),
        ("def f(clock):\n    return clock.monotonic()", "uses .monotonic"),
        ("import logging", "imports logging"),
        ("import asyncio", "imports asyncio"),
        ("async def f(): ...", "uses await"),
        ("print()", "uses print()"),
        ("__import__('time')", "uses __import__()"),
        ("from services.runtime import log", "imports services.runtime.log, which is not pure"),
    ],
)
def test_io_a_clock_or_chance_in_what_says_that_it_is_pure_is_seen(name: str, text: str, breach: str) -> None:
    found = rules.impurities(planted(name, text))

    assert any(one.startswith(f"{name} {breach}") for one in found)


def test_a_module_that_begins_to_say_so_is_held_to_it() -> None:
    modules = dict(source())
    stream = modules["proxy.streams.stream"]
    modules["proxy.streams.stream"] = replace(stream, text=stream.text.replace('"""', '"""Pure. ', 1))

    assert rules.impurities(source()) == []
    assert rules.impurities(modules) != []


def test_a_server_that_would_start_a_shell_is_seen() -> None:
    modules = planted("proxy.tools.watcher", "COMMAND = ('/bin/sh', '-c', 'true')")

    assert [one.rpartition(" in ")[0] for one in rules.shells(modules)] == ["proxy.tools.watcher names /bin/sh"]
