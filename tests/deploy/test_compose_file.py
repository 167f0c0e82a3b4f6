"""docker-compose.yml as Compose reads it: what is published, who meets whom, and what each container may do."""

import json
import os
import re
import subprocess
from typing import Any, Final

import pytest

from gateway.settings import GatewaySettings
from proxy.settings import ProxySettings
from services.runtime.settings import read_settings
from services.webchat.settings import PageSettings
from tests.chain import ROOT
from tests.machine import needs

pytestmark = needs("compose")

BASE: Final = ("docker-compose.yml",)
SIMULATOR: Final = (*BASE, "deploy/compose.simulator.yaml")
VARIANTS: Final = {
    "ollama": BASE,
    "simulator": SIMULATOR,
    "gpu": (*BASE, "deploy/compose.gpu.yaml"),
    "dev": (*SIMULATOR, "deploy/compose.dev.yaml"),
}
PUBLISHED: Final = {"page": [3000], "gateway": [3001], "grafana": [3000], "edge": [8080, 8443]}
NETWORKS: Final[dict[str, set[str]]] = {
    "prepare": set(),
    "page": {"front"},
    "edge-page": {"front"},
    "edge": {"front"},
    "gateway": {"front", "mid", "store"},
    "gateway-2": {"front", "mid", "store"},
    "postgres": {"store"},
    "proxy": {"mid", "back"},
    "proxy-2": {"mid", "back"},
    "valkey": {"mid"},
    "ollama": {"back"},
    "ollama-2": {"back"},
    "model": {"egress"},
    "prometheus": {"mid"},
    "grafana": {"front", "mid"},
}


OLLAMAS: Final = ("ollama", "ollama-2")


def configured(files: tuple[str, ...] = BASE, **environ: str) -> dict[str, Any]:
    """Return what Compose makes of the files, with all profiles."""
    named = [part for file in files for part in ("-f", file)]
    done = subprocess.run(
        ["docker", "compose", "--env-file", os.devnull, *named, "--profile", "*", "config", "--format", "json"],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/"), **environ},
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    config: dict[str, Any] = json.loads(done.stdout)
    return config


@pytest.fixture(scope="module", params=VARIANTS)
def config(request: pytest.FixtureRequest) -> dict[str, Any]:
    return configured(VARIANTS[request.param])


def ours(config: dict[str, Any]) -> dict[str, Any]:
    return {name: service for name, service in config["services"].items() if service["image"] == "sluice:local"}


def test_only_the_people_s_side_and_grafana_publish_ports_and_on_this_machine_alone(config: dict[str, Any]) -> None:
    """T1, T20: neither Ollama, nor the proxy, nor any port of metrics."""
    ports = {name: service["ports"] for name, service in config["services"].items() if service.get("ports")}

    assert {name: [port["target"] for port in ports[name]] for name in ports} == PUBLISHED
    assert {port["host_ip"] for found in ports.values() for port in found} == {"127.0.0.1"}


def test_each_container_is_in_the_networks_that_it_needs(config: dict[str, Any]) -> None:
    """T1: the model server meets the proxy alone, and neither of its networks leads outside."""
    assert {name: set(service.get("networks", ())) for name, service in config["services"].items()} == NETWORKS
    networks = config["networks"]
    assert {name for name in networks if networks[name].get("internal")} == {"mid", "back", "store"}
    assert networks["front"]["driver_opts"] == {"com.docker.network.bridge.enable_ip_masquerade": "false"}


def test_every_container_is_hardened(config: dict[str, Any]) -> None:
    """L13; a container that files are copied into for development is not read-only."""
    for name, service in config["services"].items():
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert service.get("read_only") is True or "develop" in service, name
        assert service["init"] is True, name
        assert "noexec" in service["tmpfs"][0], name
        assert service["pids_limit"] <= 4096, name
        assert service["logging"]["options"] == {"max-file": "3", "max-size": "10m"}, name
        assert "privileged" not in service, name
        assert "cap_add" not in service, name


def test_ours_are_nobody_in_bounds(config: dict[str, Any]) -> None:
    """L13; but for those that files are copied into."""
    found = ours(config)

    assert {"prepare", "page", "edge-page", "gateway", "gateway-2", "proxy", "proxy-2"} <= set(found)
    for name, service in found.items():
        assert service["user"] == "65532:65532" or "develop" in service, name
        if name not in OLLAMAS:  # the simulator takes the bounds of the server in whose place it stands
            assert int(service["mem_limit"]) <= 1 << 30, name
            assert service["cpus"] == 1, name
            assert service["ulimits"] == {"nofile": 16384}, name
            assert service["pids_limit"] == 256, name


def test_what_stands_in_for_a_model_server_starts_as_ours_do() -> None:
    """Compose sees no reset through an alias: the second simulator once kept the command of the real one."""
    services = configured(SIMULATOR)["services"]

    for name in OLLAMAS:
        assert services[name]["command"] == ["python", "-m", "services.simulator"], name
        assert services[name].get("entrypoint") is None, name
        assert "healthcheck" not in services[name], name


def test_a_stop_waits_for_the_drain(config: dict[str, Any]) -> None:
    """The drain, a second each for last words, departures and the log, and as many for a busy machine."""
    least_s = max(read_settings(GatewaySettings, {}).drain_s, read_settings(ProxySettings, {}).drain_s) + 6

    waited = {name: service["stop_grace_period"] for name, service in ours(config).items() if name not in OLLAMAS}

    assert {name for name, text in waited.items() if int(text.removesuffix("s")) < least_s} == set()


def test_no_container_that_stays_is_left_down_and_none_that_ran_once_runs_again(config: dict[str, Any]) -> None:
    policies = {name: service["restart"] for name, service in config["services"].items()}

    assert {policies.pop("prepare"), policies.pop("model")} == {"no", "on-failure:5"}
    assert set(policies.values()) == {"unless-stopped"}


def test_no_secret_is_in_an_environment(config: dict[str, Any]) -> None:
    """T4: what holds one names a file."""
    words = re.compile("PASSWORD|SECRET|TOKEN|(?<!VAL)KEY", re.IGNORECASE)
    named = {
        name
        for service in config["services"].values()
        for name in service.get("environment", {})
        if words.search(name) and not name.endswith(("_FILE", "_TOKENS"))
    }

    assert named == set()


def test_ollama_cannot_change_its_models_and_is_a_user_of_its_own() -> None:
    """T4."""
    for name in OLLAMAS:
        ollama = configured()["services"][name]

        assert [(mount["target"], mount["read_only"]) for mount in ollama["volumes"]] == [("/models", True)]
        assert ollama["user"] == "65533:65533"


def test_images_of_others_have_an_exact_version_and_ollama_s_is_above_its_floor() -> None:
    images = {service["image"] for service in configured()["services"].values()} - {"sluice:local"}

    assert {image for image in images if not re.fullmatch(r"[\w/-]+:v?\d+\.\d+(\.\d+)?", image)} == set()
    ollama = next(image for image in images if image.startswith("ollama/"))
    assert tuple(map(int, ollama.partition(":")[2].split("."))) >= (0, 17, 1)


@pytest.mark.parametrize(
    ("files", "asked"), [(BASE, "OLLAMA_NUM_PARALLEL"), (SIMULATOR, "SLUICE_SIMULATOR_NUM_PARALLEL")]
)
def test_permits_and_the_model_server_s_parallel_answers_are_one_variable(files: tuple[str, ...], asked: str) -> None:
    for set_by_hand in ({}, {"OLLAMA_NUM_PARALLEL": "5"}):
        services = configured(files, **set_by_hand)["services"]

        permits = services["proxy"]["environment"]["SLUICE_PROXY_PERMITS"]
        assert permits == services["ollama"]["environment"][asked]
        assert permits == services["prepare"]["environment"]["SLUICE_PROXY_PERMITS"]
        assert permits == services["proxy-2"]["environment"]["SLUICE_PROXY_PERMITS"]
        assert permits == services["ollama-2"]["environment"][asked]
        assert permits == set_by_hand.get("OLLAMA_NUM_PARALLEL", permits)


def test_a_public_name_opens_the_gateway_s_hosts_and_origins_and_the_page_s_way() -> None:
    opened = {"PUBLIC_HOST": "box.example", "BIND": "0.0.0.0", "PAGE_PORT": "80", "GATEWAY_PORT": "8001"}

    services = configured(BASE, **opened)["services"]

    environ = services["gateway"]["environment"]
    settings = read_settings(GatewaySettings, environ)
    assert settings.hosts == ("box.example",)
    assert {"http://box.example:80", "http://localhost:80", "http://127.0.0.1:80"} <= set(settings.cors_origins)
    assert read_settings(PageSettings, environ).gateway_url == "http://box.example:8001"
    ends = {name: {port["host_ip"] for port in services[name].get("ports", [])} for name in services}
    assert ends["page"] == ends["gateway"] == ends["edge"] == {"0.0.0.0"}
    assert ends["grafana"] == {"127.0.0.1"}


@pytest.mark.parametrize(("environ", "shared"), [({}, True), ({"BIND": "0.0.0.0"}, False)])
def test_without_keys_conversations_are_everybodys_only_as_long_as_that_is_this_machine(
    environ: dict[str, str], shared: bool
) -> None:
    services = configured(BASE, SLUICE_GATEWAY_DATABASE="postgresql://sluice@postgres/sluice", **environ)["services"]

    for name in ("gateway", "gateway-2"):
        assert read_settings(GatewaySettings, services[name]["environment"]).database_open is shared


def test_the_example_of_settings_names_what_compose_reads_and_its_defaults() -> None:
    compose = "".join((ROOT / file).read_text(encoding="utf-8") for file in {*SIMULATOR, *VARIANTS["gpu"]})
    read = dict(re.findall(r"\$\{([A-Z_]+):-([^${}]*)\}", compose))
    example = dict(
        re.findall(r"^# ?([A-Z_]+)=(\S*)", (ROOT / ".env.example").read_text(encoding="utf-8"), re.MULTILINE)
    )

    assert {name for name in read if not name.startswith("SLUICE_")} == {
        name for name in example if not name.startswith("SLUICE_")
    }
    wrong = {name: default for name, default in example.items() if default != read.get(name, default)}
    assert wrong.keys() <= {"OLLAMA_NUM_PARALLEL"}  # the simulator's is another


def test_of_two_each_gateway_knows_both_proxies_by_their_names_and_each_proxy_has_a_model_server() -> None:
    scale = {"SLUICE_GATEWAY_PROXY_URL": "a=http://proxy:8080,b=http://proxy-2:8080"}
    services = configured(BASE, **scale)["services"]
    known = {
        name: {
            (one.name, one.origin.host)
            for one in read_settings(GatewaySettings, services[name]["environment"]).proxy_url
        }
        for name in ("gateway", "gateway-2")
    }
    proxies = {name: read_settings(ProxySettings, services[name]["environment"]) for name in ("proxy", "proxy-2")}

    assert known["gateway"] == known["gateway-2"] == {(proxies[name].instance, name) for name in proxies}
    assert [proxy.ollama_url.host for proxy in proxies.values()] == list(OLLAMAS)
    assert services["gateway-2"]["networks"]["front"]["aliases"] == ["gateway"]
    assert {name for name, service in services.items() if "scale" in service.get("profiles", ())} == {
        "gateway-2",
        "proxy-2",
        "ollama-2",
        "valkey",
        "edge",
        "edge-page",
    }


def test_the_keys_are_mounted_where_they_are_read_and_where_they_are_checked_before() -> None:
    services = configured(BASE, KEYS="./somewhere")["services"]
    mounted = {
        name: (mount["read_only"], mount["source"].rpartition("/")[2])
        for name, service in services.items()
        for mount in service.get("volumes", ())
        if mount["target"] == "/etc/sluice"
    }

    assert mounted == dict.fromkeys(("prepare", "gateway", "gateway-2"), (True, "somewhere"))
