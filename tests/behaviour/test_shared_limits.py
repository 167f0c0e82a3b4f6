"""Limits that two gateways share in a real Valkey, and what they do without it: O4 to O7 and P9 of docs/faults.md."""

import asyncio
import json
import signal
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Final

import pytest

from services.wire.events import Code
from tests.behaviour.connections import sample
from tests.behaviour.keys_on_disk import KeysOnDisk, bearer, id_of
from tests.behaviour.refusals import refused
from tests.behaviour.script import scripted
from tests.chain import Chain, Server, running_chain
from tests.eventually import eventually, soon
from tests.machine import needs
from tests.reader import Answer, Client
from tests.valkey import PASSWORD, ValkeyServer, running_valkey

pytestmark = needs("valkey")
SAID: Final = {"messages": [{"role": "user", "content": "hi"}]}
QUICK: Final = scripted(tokens=2, prefill=0).name
RECOVERS_S: Final = 10.0  # one probe a second, on a busy machine


class House:
    """Two gateways of one proxy with one keys file and one Valkey."""

    def __init__(self, chain: Chain, valkey: ValkeyServer, keys: dict[str, str]) -> None:
        self.chain, self.valkey, self.keys = chain, valkey, keys
        self.gateways = [self._gateway() for _ in range(2)]

    def who(self, name: str) -> dict[str, str]:
        return bearer(self.keys[name])

    def _gateway(self) -> Server:
        server = Server("tests.behaviour.retimed_gateway", self.chain.gateway_environ)
        self.chain.servers.append(server)
        eventually(lambda: server.get("/readyz")[0] == 200, "it is ready")
        return server


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """The chain's own gateway is one that waits no longer than a real one; the two beside it are patient."""
    on_disk = KeysOnDisk(tmp_path_factory.mktemp("keys"))
    keys = {
        "two at once": on_disk.add("two at once", streams="2"),
        "ten requests": on_disk.add("ten requests", requests_per_minute="1", burst="10"),
        "a hundred tokens": on_disk.add("a hundred tokens", tokens_per_day="100"),
        "anybody": on_disk.add("anybody", requests_per_minute="100000", streams="50"),
    }
    with (
        running_valkey(tmp_path_factory.mktemp("valkey")) as valkey,
        running_chain(
            simulator={"SCRIPT": "rate=0", "NUM_PARALLEL": "64"}, gateway={**on_disk.settings, "VALKEY_URL": valkey.url}
        ) as chain,
    ):
        yield House(chain, valkey, keys)


async def chat(server: Server, headers: dict[str, str], model: str = QUICK) -> Answer:
    async with Client(server.url) as client:
        return await client.ask("/api/chat/stream", {"model": model, **SAID}, headers)


def health(server: Server) -> str:
    return str(json.loads(server.get("/health")[1])["limits"])


def usage(server: Server, headers: dict[str, str]) -> dict[str, Any]:
    told: dict[str, Any] = json.loads(server.get("/api/usage", headers)[1])
    return told


async def test_a_burst_is_let_in_once_whichever_gateway_is_asked(house: House) -> None:
    who = house.who("ten requests")
    answers = await asyncio.gather(*(chat(house.gateways[number % 2], who) for number in range(30)))

    assert sum(answer.status == 200 for answer in answers) == 10
    for answer in answers:
        assert answer.status == 200 or refused(answer, Code.RATE_LIMITED)
    assert [health(gateway) for gateway in house.gateways] == ["valkey"] * 2


async def test_answers_at_once_are_counted_over_both_and_an_end_at_one_is_a_place_at_the_other(house: House) -> None:
    slow, who = scripted(tokens=3000, rate=50).name, house.who("two at once")
    one, other = house.gateways
    async with Client(one.url) as here, Client(other.url) as there:
        asked = {"model": slow, **SAID}
        async with (
            here.open("POST", "/api/chat/stream", asked, who) as first,
            there.open("POST", "/api/chat/stream", asked, who) as second,
        ):
            path = (await first.until_tokens(1)).path
            await second.until_tokens(1)
            third = [await chat(gateway, who) for gateway in house.gateways]
            streams = usage(other, who)["streams"]
            await here.ask(f"{path}/cancel", {}, who)
            await first.until_end()
            at_once = await chat(one, who)
            await soon(lambda: usage(other, who)["streams"] == 1, "both know that it ended")
            served = await chat(other, who)
            second.leave()

    assert [refused(answer, Code.CONCURRENCY_LIMITED)["code"] for answer in third] == ["concurrency_limited"] * 2
    assert (streams, at_once.reason, served.reason) == (2, "stop", "stop")


async def test_a_day_s_tokens_and_what_was_used_are_known_to_both(house: House) -> None:
    who, model = house.who("a hundred tokens"), scripted(tokens=20, prefill=0).name
    answers = [await chat(house.gateways[0], who, model)]
    used = sum(answers[0].end["usage"].values()) if answers[0].end else 0
    await soon(lambda: usage(house.gateways[1], who)["tokens_used"] == used, "the other knows")
    await chat(house.gateways[1], who, model)
    asked = [call["body"]["options"]["num_predict"] for call in house.chain.calls(model)]

    def rows() -> list[tuple[str, int]]:
        return [(row["key"], row["requests"]) for row in usage(house.gateways[0], who)["usage"]]

    assert asked == [100, 100 - used]
    both = [(id_of(house.keys["a hundred tokens"]), 2)]
    await soon(lambda: rows() == both, "what was used is booked behind the answer, in one row")


@contextmanager
def stopped(valkey: ValkeyServer) -> Iterator[None]:
    valkey.signal(signal.SIGSTOP)
    try:
        yield
    finally:
        valkey.signal(signal.SIGCONT)


@contextmanager
def killed(valkey: ValkeyServer) -> Iterator[None]:
    valkey.kill()
    try:
        yield
    finally:
        valkey.start()


@contextmanager
def set_to(valkey: ValkeyServer, setting: str) -> Iterator[None]:
    valkey.ask("CONFIG", "SET", setting, "1")
    try:
        yield
    finally:
        valkey.ask("CONFIG", "SET", setting, "0")


@contextmanager
def replica(valkey: ValkeyServer) -> Iterator[None]:
    """It takes no more writes, as one that a failover has left behind."""
    valkey.ask("REPLICAOF", "127.0.0.1", "1")
    try:
        yield
    finally:
        valkey.ask("REPLICAOF", "NO", "ONE")


AWAY: Final[dict[str, Callable[[ValkeyServer], AbstractContextManager[None]]]] = {
    "stopped": stopped,
    "killed": killed,
    "full": lambda valkey: set_to(valkey, "maxmemory"),
    "a replica": replica,
    "without its replicas": lambda valkey: set_to(valkey, "min-replicas-to-write"),
}


@pytest.mark.parametrize("how", AWAY)
async def test_while_valkey_is_away_each_gateway_counts_alone_and_comes_back_by_itself(house: House, how: str) -> None:
    """No 5xx, and the gauge says so; what was used meanwhile is told afterwards."""
    gateway, who = house.chain.gateway, house.who("anybody")
    await soon(lambda: health(gateway) == "valkey", "it is shared", within_s=RECOVERS_S)
    with AWAY[how](house.valkey):
        answers = [await chat(gateway, who) for _ in range(5)]
        kept_in, gauge = health(gateway), sample(gateway, "llm_limits_degraded")
    await soon(lambda: health(gateway) == "valkey", "it is shared again", within_s=RECOVERS_S)

    assert [answer.reason for answer in answers] == ["stop"] * 5
    assert (kept_in, gauge) == ("alone", 1)
    await soon(lambda: sample(gateway, "llm_limits_degraded") == 0, "the gauge says so")


async def test_scripts_that_valkey_forgot_are_loaded_again(house: House) -> None:
    house.valkey.ask("SCRIPT", "FLUSH")
    answers = [await chat(gateway, house.who("anybody")) for gateway in house.gateways]

    assert [answer.reason for answer in answers] == ["stop"] * 2
    assert [health(gateway) for gateway in house.gateways] == ["valkey"] * 2


def test_valkey_s_password_is_in_no_line(house: House) -> None:
    written = b"".join(raw for server in house.chain.servers for raw in server.raw)

    assert PASSWORD.encode() not in written
    assert house.chain.gateway.events("limits.alone")
