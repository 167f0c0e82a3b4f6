"""services/termchat/operators.py: `sluice streams` and `sluice stop ID`, at the proxy."""

import pytest

from tests.chain import Chain
from tests.termchat.conftest import stopped_call
from tests.termchat.piped import running, sluice


def test_streams_shows_what_runs_and_stop_ends_it(chain: Chain) -> None:
    model = "sim:tokens=2000,rate=50,seed=51"
    with running("hi", "--model", model, url=chain.gateway.url) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.read(20)

        listed = sluice("streams", "--url", chain.proxy.url, url="").out
        (row,) = [line.split() for line in listed.split("\n") if model in line]
        stopped = sluice("stop", row[0], "--url", chain.proxy.url, url="")

        assert (stopped.code, stopped.err) == (0, "stopped\n")
        assert process.wait(10) == 1
        assert "stopped by somebody else" in process.stderr.read().decode()
    assert listed.split("\n")[0].split() == ["id", "model", "status", "chunks", "bytes", "followers", "age_s"]
    assert stopped_call(chain, model)["tokens"] < 1000


def test_streams_as_json_is_a_line_each(chain: Chain) -> None:
    model = "sim:tokens=2000,rate=50,seed=52"
    with running("hi", "--model", model, url=chain.gateway.url) as process:
        assert process.stdout is not None
        process.stdout.read(20)

        rows = sluice("streams", "--json", "--url", chain.proxy.url, url="").events

    assert [row["status"] for row in rows if row["model"] == model] == ["streaming"]


@pytest.mark.parametrize(
    ("stream_id", "code", "words"),
    [("nonsense", 2, "this is no stream's id"), (f"k3fa.{'A' * 26}", 1, "[stream_gone]")],
)
def test_what_cannot_be_stopped_is_said(chain: Chain, stream_id: str, code: int, words: str) -> None:
    done = sluice("stop", stream_id, "--url", chain.proxy.url, url="")

    assert done.code == code
    assert words in done.err


@pytest.mark.parametrize("words", [["streams"], ["stop", f"k3fa.{'A' * 26}"]])
def test_a_proxy_that_is_away_is_3(words: list[str]) -> None:
    done = sluice(*words, "--url", "http://127.0.0.1:9", url="")

    assert done.code == 3
    assert done.err == "The proxy at http://127.0.0.1:9 cannot be reached.\n"


def test_a_question_that_only_begins_so_is_a_question(chain: Chain) -> None:
    assert sluice("streams", "of", "water?", url=chain.gateway.url).code == 0
    assert sluice("stop", url=chain.gateway.url).code == 0
