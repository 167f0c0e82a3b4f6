"""What `make run` decides before it starts anything; tests/system/test_make_run.py runs it."""

import socket

import pytest

from deploy.plan import KEPT, LISTEN, CannotRun, Plan
from tests.deploy.model_server import ollama
from tests.documents.declared import settings_of
from tests.ports import free_port


def test_without_a_model_server_the_simulator_takes_its_place(environ: dict[str, str]) -> None:
    plan = Plan.of(environ)

    assert list(plan.modules) == ["simulator", "proxy", "gateway", "page"]
    assert plan.environ["SLUICE_PROXY_OLLAMA_URL"] == f"http://{environ['SLUICE_SIMULATOR_LISTEN']}"
    assert plan.environ["SLUICE_PROXY_PERMITS"] == plan.environ["SLUICE_SIMULATOR_NUM_PARALLEL"] == "8"


def test_a_model_server_that_answers_is_used_and_the_simulator_s_port_does_not_matter(environ: dict[str, str]) -> None:
    with ollama() as url, socket.create_server(("127.0.0.1", 0)) as other:
        plan = Plan.of(
            {
                **environ,
                "SLUICE_PROXY_OLLAMA_URL": url,
                "SLUICE_SIMULATOR_LISTEN": f"127.0.0.1:{other.getsockname()[1]}",
            }
        )

    assert list(plan.modules) == ["proxy", "gateway", "page"]
    assert plan.environ["SLUICE_PROXY_OLLAMA_URL"] == url
    assert "SLUICE_PROXY_PERMITS" not in plan.environ


def test_the_gateway_is_told_where_the_proxy_listens_and_both_to_end_soon(environ: dict[str, str]) -> None:
    plan = Plan.of(environ)

    assert plan.environ["SLUICE_GATEWAY_PROXY_URL"] == f"http://{environ['SLUICE_PROXY_LISTEN']}"
    assert plan.environ["SLUICE_GATEWAY_DRAIN_S"] == plan.environ["SLUICE_PROXY_DRAIN_S"] == "1"


def test_the_page_and_the_gateway_are_told_of_each_other(environ: dict[str, str]) -> None:
    plan = Plan.of(environ)

    gateway, page = (environ[f"SLUICE_{name}_LISTEN"].rpartition(":")[2] for name in ("GATEWAY", "WEB"))
    assert plan.environ["SLUICE_WEB_GATEWAY_URL"] == f"http://localhost:{gateway}"
    assert plan.environ["SLUICE_GATEWAY_CORS_ORIGINS"] == f"http://localhost:{page},http://127.0.0.1:{page}"


def test_a_gateway_opened_to_others_is_asked_where_it_listens(environ: dict[str, str]) -> None:
    port = environ["SLUICE_GATEWAY_LISTEN"].rpartition(":")[2]

    plan = Plan.of({**environ, "SLUICE_GATEWAY_LISTEN": f"127.0.0.2:{port}"})

    assert plan.environ["SLUICE_WEB_GATEWAY_URL"] == f"http://127.0.0.2:{port}"


def test_conversations_are_kept_in_the_checkout_and_the_page_is_told(environ: dict[str, str]) -> None:
    plan = Plan.of(environ)

    assert plan.environ["SLUICE_GATEWAY_DATABASE"] == f"sqlite:///{KEPT}"
    assert (plan.environ["SLUICE_WEB_STORE"], plan.kept) == ("true", str(KEPT))


@pytest.mark.parametrize(
    ("settings", "kept"),
    [
        ({"SLUICE_GATEWAY_DATABASE": ""}, ("", "false", "in each browser")),
        ({"SLUICE_GATEWAY_DATABASE": "postgresql://a/b"}, ("postgresql://a/b", "true", "in your database")),
        ({"SLUICE_GATEWAY_LISTEN": "0.0.0.0:{}"}, ("", "false", "in each browser")),
    ],
)
def test_conversations_are_kept_where_the_user_says_and_never_shared_with_strangers_by_default(
    environ: dict[str, str], settings: dict[str, str], kept: tuple[str, str, str]
) -> None:
    said = {name: value.format(free_port()) for name, value in settings.items()}

    plan = Plan.of({**environ, **said})

    assert (plan.environ["SLUICE_GATEWAY_DATABASE"], plan.environ["SLUICE_WEB_STORE"], plan.kept) == kept


def test_what_the_user_has_set_stays(environ: dict[str, str]) -> None:
    chosen = {
        "SLUICE_PROXY_PERMITS": "3",
        "SLUICE_PROXY_DRAIN_S": "0",
        "SLUICE_GATEWAY_PROXY_URL": "http://elsewhere:1",
        "SLUICE_LOG_FORMAT": "json",
        "PATH": "/bin",
    }

    assert Plan.of({**environ, **chosen}).environ.items() >= chosen.items()


@pytest.mark.parametrize("name", LISTEN)
def test_a_taken_port_is_told_with_its_variable(environ: dict[str, str], name: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        environ[name] = f"127.0.0.1:{other.getsockname()[1]}"

        with pytest.raises(CannotRun, match=f"cannot listen on {environ[name]}.* running already.* set {name}"):
            Plan.of(environ)


@pytest.mark.parametrize(("name", "value"), [("SLUICE_PROXY_LISTEN", "8080"), ("SLUICE_PROXY_OLLAMA_URL", "x")])
def test_an_address_that_is_none_is_told_with_its_variable(environ: dict[str, str], name: str, value: str) -> None:
    with pytest.raises(CannotRun, match=f"^{name}: expected"):
        Plan.of({**environ, name: value})


def test_a_port_that_nobody_can_know_beforehand_is_refused(environ: dict[str, str]) -> None:
    with pytest.raises(CannotRun, match="needs a port that it can tell you"):
        Plan.of({**environ, "SLUICE_GATEWAY_LISTEN": "127.0.0.1:0"})


@pytest.mark.parametrize("package", ["proxy", "gateway", "services.simulator", "services.webchat"])
def test_the_addresses_are_those_that_the_processes_take_by_default(package: str) -> None:
    defaults = {row.name: row.default for row in settings_of(package) if row.name.endswith("LISTEN")}

    assert {name: LISTEN[name] for name in defaults} == defaults
