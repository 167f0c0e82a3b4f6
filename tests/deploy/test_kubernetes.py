"""deploy/kubernetes as kustomize renders it: the schemas of Kubernetes, and what only we can know of it."""

import json
import re
import subprocess
from functools import cache
from pathlib import Path
from typing import Any, Final

import pytest
import yaml  # type: ignore[import-untyped] # it has no annotations

from gateway.app import DEPARTURES_S
from gateway.settings import GatewaySettings
from proxy.app import GOODBYE_S
from proxy.settings import ProxySettings
from services.runtime.settings import Address, ProcessSettings, read_settings
from services.webchat.settings import PageSettings
from tests.chain import ROOT
from tests.machine import needs
from tests.throwaway import environment

pytestmark = needs("kubectl")

FOLDER: Final = ROOT / "deploy" / "kubernetes"
COMPONENTS: Final = ("route", "monitoring", "scale", "autoscaling")
SETS: Final = ("Deployment", "StatefulSet")
LOCK: Final = Path(__file__).parent / "kubernetes.lock"
SCHEMAS: Final = "1.34"  # the oldest in which all of it is stable
SETTINGS: Final[dict[str, type[ProcessSettings]]] = {
    "gateway": GatewaySettings,
    "proxy": ProxySettings,
    "page": PageSettings,
}
LAST_WORDS_S: Final = {"gateway": DEPARTURES_S, "proxy": GOODBYE_S, "page": 0.0}
LAST_BYTES_S: Final = 2.0
EDGES_LAG_S: Final = 5.0  # until the last edge has learnt that a pod is going, once its sleep is over

Manifest = dict[str, Any]


def rendered(folder: Path) -> list[Manifest]:
    done = subprocess.run(["kubectl", "kustomize", folder], capture_output=True, text=True, timeout=30, check=True)
    return list(yaml.safe_load_all(done.stdout))


@cache
def base() -> list[Manifest]:
    return rendered(FOLDER)


def of_kind(kind: str, manifests: list[Manifest]) -> dict[str, Manifest]:
    return {one["metadata"]["name"]: one for one in manifests if one["kind"] == kind}


def pod_of(name: str, manifests: list[Manifest] | None = None) -> Manifest:
    sets = (of_kind(kind, manifests or base()) for kind in SETS)
    pod: Manifest = next(found[name] for found in sets if name in found)["spec"]["template"]["spec"]
    return pod


def container_of(name: str, manifests: list[Manifest] | None = None) -> Manifest:
    (container,) = pod_of(name, manifests)["containers"]
    assert isinstance(container, dict)
    return container


def environ_of(name: str, manifests: list[Manifest] | None = None, *, pod_index: int = 0) -> dict[str, str]:
    """Return the settings that a pod's process finds: Kubernetes fills in what was named before."""
    found: dict[str, str] = {}
    for row in container_of(name, manifests)["env"]:
        text = row["value"] if "value" in row else str(pod_index)
        found[row["name"]] = re.sub(r"\$\((\w+)\)", lambda named: found[named[1]], text)
    return {name: value for name, value in found.items() if name.startswith("SLUICE_")}


@pytest.fixture(scope="module")
def everything(tmp_path_factory: pytest.TempPathFactory) -> list[Manifest]:
    """Rendered with all components, by a kustomization such as docs/kubernetes.md shows."""
    folder = tmp_path_factory.mktemp("cluster")
    there = FOLDER.relative_to("/")
    up = "/".join([".."] * (len(folder.resolve().parts) - 1))
    own = {
        "namespace": "sluice",
        "resources": [f"{up}/{there}"],
        "components": [f"{up}/{there}/{component}" for component in COMPONENTS],
    }
    (folder / "kustomization.yaml").write_text(json.dumps(own))
    return rendered(folder)


# --- each process


@pytest.mark.parametrize("name", SETTINGS)
def test_a_pod_has_the_time_to_end_that_its_drain_takes(name: str) -> None:
    pod, container = pod_of(name), container_of(name)
    sleep_s = container.get("lifecycle", {}).get("preStop", {}).get("sleep", {}).get("seconds", 0)
    told = environ_of(name)
    default = SETTINGS[name].model_fields["drain_s"].default if "drain_s" in SETTINGS[name].model_fields else 0
    drain_s = float(told.get(f"{SETTINGS[name].PREFIX}DRAIN_S", default))
    lag_s = EDGES_LAG_S if sleep_s else 0

    assert sleep_s + lag_s + drain_s + LAST_WORDS_S[name] + LAST_BYTES_S < pod["terminationGracePeriodSeconds"]


@pytest.mark.parametrize("name", SETTINGS)
def test_what_a_pod_is_told_its_process_knows_and_takes(name: str) -> None:
    assert read_settings(SETTINGS[name], environ_of(name)).log_format == "json"


@pytest.mark.parametrize("name", SETTINGS)
def test_ports_are_those_at_which_the_process_listens_and_services_and_probes_lead_to_them(name: str) -> None:
    fields = SETTINGS[name].model_fields
    listens = {"http": fields["listen"].default}
    if "metrics_listen" in fields:
        listens["metrics"] = fields["metrics_listen"].default
    container = container_of(name)
    served = of_kind("Service", base())[name]["spec"]["ports"]
    probed = {container[probe]["httpGet"]["path"] for probe in ("livenessProbe", "readinessProbe")}

    assert all(isinstance(address, Address) for address in listens.values())
    assert {row["name"]: row["containerPort"] for row in container["ports"]} == {
        port: address.port for port, address in listens.items()
    }
    assert [(row["name"], row["port"], row["targetPort"]) for row in served] == [
        (port, address.port, port) for port, address in listens.items()
    ]
    assert probed == ({"/livez"} if name == "page" else {"/livez", "/readyz"})


@pytest.mark.parametrize("name", SETTINGS)
def test_a_pod_may_do_nothing_that_it_need_not(name: str) -> None:
    pod, container = pod_of(name), container_of(name)

    assert pod["automountServiceAccountToken"] is False
    assert pod["enableServiceLinks"] is False
    assert pod["securityContext"] == {
        "runAsNonRoot": True, "runAsUser": 65532, "runAsGroup": 65532, "seccompProfile": {"type": "RuntimeDefault"},
    }  # fmt: skip
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]},
    }  # fmt: skip
    assert "memory" in container["resources"]["limits"]
    assert "cpu" not in container["resources"]["limits"]


@pytest.mark.parametrize("replicas", [1, 2])
def test_gateways_call_each_proxy_by_the_name_that_it_has(replicas: int, everything: list[Manifest]) -> None:
    """A pod of a StatefulSet is replaced by one of its name, and its Service has a name for each."""
    manifests = base() if replicas == 1 else everything
    of_proxy, service = (of_kind(kind, manifests)["proxy"]["spec"] for kind in ("StatefulSet", "Service"))
    known = read_settings(GatewaySettings, environ_of("gateway", manifests)).proxy_url
    proxies = [
        read_settings(ProxySettings, environ_of("proxy", manifests, pod_index=number)) for number in range(replicas)
    ]

    assert of_proxy["replicas"] == replicas
    assert (of_proxy["serviceName"], service["clusterIP"], service["publishNotReadyAddresses"]) == (
        "proxy",
        "None",
        True,
    )
    assert [(one.name, str(one.origin)) for one in known] == [
        (proxy.instance, f"http://proxy-{number}.proxy:8080") for number, proxy in enumerate(proxies)
    ]
    assert len({proxy.ollama_url for proxy in proxies}) == replicas


def test_a_name_of_a_service_makes_no_variable_that_looks_like_a_setting() -> None:
    """Old clusters tell each pod of each Service in variables: SLUICE_GATEWAY_PORT would be refused."""
    assert [name for name in of_kind("Service", base()) if name.startswith("sluice")] == []


# --- who reaches whom


def callers(name: str) -> dict[int, list[Any]]:
    """Who may reach each port of a pod, by the policies that mean it."""
    means = {"matchLabels": {"app.kubernetes.io/name": name}}
    rules = (
        rule
        for policy in of_kind("NetworkPolicy", base()).values()
        if policy["spec"]["podSelector"] == means
        for rule in policy["spec"].get("ingress", [])
    )
    return {port["port"]: rule["from"] for rule in rules for port in rule["ports"]}


def labelled(name: str) -> list[Any]:
    return [{"podSelector": {"matchLabels": {"app.kubernetes.io/name": name}}}]


def test_ollama_is_reached_by_the_proxy_alone_and_metrics_by_prometheus_alone() -> None:
    monitoring = [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}}]
    edge = [{"namespaceSelector": {"matchLabels": {"sluice/edge": "true"}}}]

    assert callers("ollama") == {11434: labelled("proxy")}
    assert callers("proxy") == {8080: labelled("gateway"), 9001: monitoring}
    assert callers("gateway") == {3001: edge, 9002: monitoring}
    assert callers("page") == {3000: edge}


def test_what_no_policy_allows_is_closed_both_ways() -> None:
    spec = of_kind("NetworkPolicy", base())["nothing"]["spec"]

    assert spec == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}


# --- the components, and all of it


def test_the_autoscaler_has_the_number_of_gateways_for_itself(everything: list[Manifest]) -> None:
    """By streams, at half of what a gateway takes: the others must carry one that goes."""
    scaled = of_kind("HorizontalPodAutoscaler", everything)["gateway"]["spec"]
    (metric,) = scaled["metrics"]
    adapter = yaml.safe_load((FOLDER / "autoscaling" / "prometheus-adapter.yaml").read_text())
    (rule,) = adapter["rules"]["custom"]

    assert "replicas" not in of_kind("Deployment", everything)["gateway"]["spec"]
    assert of_kind("Deployment", base())["gateway"]["spec"]["replicas"] == scaled["minReplicas"]
    assert int(metric["pods"]["target"]["averageValue"]) * 2 == GatewaySettings.model_fields["max_streams"].default
    assert rule["seriesQuery"].startswith(metric["pods"]["metric"]["name"])


def test_prometheus_finds_the_port_of_each_server_by_its_name(everything: list[Manifest]) -> None:
    services = of_kind("Service", everything)
    for name, monitor in of_kind("ServiceMonitor", everything).items():
        labels = services[name]["metadata"]["labels"]

        assert monitor["spec"]["selector"]["matchLabels"].items() <= labels.items()
        assert labels[monitor["spec"]["jobLabel"]] == name
        assert {end["port"] for end in monitor["spec"]["endpoints"]} <= {
            port["name"] for port in services[name]["spec"]["ports"]
        }


def test_all_of_it_is_in_one_namespace(everything: list[Manifest]) -> None:
    placed = [one for one in everything if one["kind"] != "Namespace"]

    assert {one["metadata"]["namespace"] for one in placed} == {"sluice"}
    assert {one["kind"] for one in placed} >= {"HTTPRoute", "ServiceMonitor", "HorizontalPodAutoscaler", "Deployment"}


@pytest.fixture(scope="module")
def validator(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = environment(tmp_path_factory.mktemp("validator"), "--require-hashes", "-r", str(LOCK))
    return str(folder / "kubernetes-validate")


@pytest.mark.network
@pytest.mark.timeout(300)
def test_kubernetes_own_schemas_take_it_and_would_not_take_a_slip(
    validator: str, everything: list[Manifest], tmp_path: Path
) -> None:
    known = [one for one in everything if "." not in one["apiVersion"] or ".k8s.io/" in one["apiVersion"]]
    known = [one for one in known if one["kind"] != "HTTPRoute"]
    slip = json.loads(json.dumps(of_kind("Deployment", known)["gateway"]))
    slip["spec"]["template"]["spec"]["terminationGracePeriod"] = 45

    assert validated(validator, known, tmp_path) == ""
    assert "terminationGracePeriod" in validated(validator, [slip], tmp_path)


def validated(validator: str, manifests: list[Manifest], folder: Path) -> str:
    """Return what is wrong with these; nothing, if nothing is."""
    file = folder / "all.yaml"
    file.write_text(yaml.safe_dump_all(manifests))
    command = [validator, "--strict", "--quiet", "--kubernetes-version", SCHEMAS, str(file)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    said = done.stdout + done.stderr
    assert (done.returncode == 0) is (said.strip() == ""), said
    return said
