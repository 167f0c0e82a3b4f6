"""The whole chain in one terminal: what `make run` starts.

Plan: addresses free? a model server, or the simulator? -> Processes, side by side -> a banner: what to try
"""

import json
import os
import shlex
import sys
import threading
import time
from typing import Final

from deploy.compiling import current_tree
from deploy.libraries import Fetching
from deploy.plan import KEPT, CannotRun, Plan
from deploy.processes import Processes
from services.runtime.probe import get
from services.runtime.settings import Address
from services.wire.model_names import default_model, listed_models

ASK_TIMEOUT_S: Final = 1
SUGGESTED: Final = "llama3.2"  # small, and good enough to see words come
READY_POLL_S: Final = 0.1
BANNER: Final = """
Open http://{page}
or talk here, in another terminal: .venv/bin/sluice{url}

The chain is up: gateway {gateway} -> proxy {proxy} -> {plan.model_server}
{words}

through both hops:
  curl -N {gateway}/api/chat/stream -H 'Content-Type: application/json' -d '{{"message":"hi"}}'
the proxy alone:
  curl -N {proxy}/api/generate/stream -d {body}
time to first token, tokens per second:
  curl {metrics}/metrics

Conversations: {plan.kept}
Ctrl-C stops everything.

"""


def banner(plan: Plan) -> str:
    """Return what a person wants to know when the chain is up."""
    names = ("page", "WEB"), ("gateway", "GATEWAY"), ("proxy", "PROXY"), ("metrics", "GATEWAY_METRICS")
    at = {name: _short(plan, setting) for name, setting in names}
    url = "" if at["gateway"] == "localhost:3001" else f" --url {at['gateway']}"
    words = f"The words are those of the model server at {plan.asked}."
    if plan.simulated:
        words = f"No Ollama answers at {plan.asked}: the words are the simulator's, not a model's."
    model = _model(plan)
    if model is None:
        words, model = f"{words}\nIt has no model that can chat; first: ollama pull {SUGGESTED}", SUGGESTED
    body = shlex.quote(json.dumps({"model": model, "prompt": "hi"}, separators=(",", ":")))
    return BANNER.format(plan=plan, words=words, body=body, url=url, **at)


def _model(plan: Plan) -> str | None:
    """Return the model that the gateway takes where none is named."""
    tags = get(plan.model_server, "/api/tags", ASK_TIMEOUT_S) or b""
    return plan.environ.get("SLUICE_GATEWAY_DEFAULT_MODEL") or default_model(listed_models(tags) or ())


def _short(plan: Plan, name: str) -> str:
    at = plan.reached[f"SLUICE_{name}_LISTEN"]
    return f"localhost:{at.port}" if at.host == "127.0.0.1" else str(Address(at.host, at.port))


def _announce(plan: Plan, processes: Processes) -> None:
    """Print the banner as soon as the page is there and the gateway has reached a model server through the proxy."""
    for name, path in (("WEB", "/livez"), ("GATEWAY", "/readyz")):
        while get(plan.reached[f"SLUICE_{name}_LISTEN"], path, ASK_TIMEOUT_S) is None:
            time.sleep(READY_POLL_S)
    processes.write(banner(plan))


def main() -> int:
    """Start the chain, or say in one line why not."""
    try:
        plan = Plan.of(os.environ)
    except CannotRun as exc:
        print(exc, file=sys.stderr)  # noqa: T201 the user reads it
        return 1
    KEPT.parent.mkdir(mode=0o700, exist_ok=True)
    tree = current_tree()
    processes = Processes(plan.modules, plan.environ, {"proxy": tree, "gateway": tree})
    threading.Thread(target=_announce, args=(plan, processes), daemon=True).start()
    with Fetching(processes.write):
        return processes.run()


if __name__ == "__main__":
    sys.exit(main())
