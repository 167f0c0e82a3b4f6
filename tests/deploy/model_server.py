"""As much of a model server as `make run` looks at."""

import contextlib
import http.server
import json
import threading
from collections.abc import Iterator


class OllamaHandler(http.server.BaseHTTPRequestHandler):
    models: tuple[str, ...] = ()

    def do_GET(self) -> None:
        answers = {"/api/version": {"version": "0.12.0"}, "/api/tags": {"models": [{"name": m} for m in self.models]}}
        body = json.dumps(answers.get(self.path, {})).encode()
        self.send_response(200 if self.path in answers else 404)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_arguments: object) -> None:
        """Say nothing."""


@contextlib.contextmanager
def ollama(*models: str) -> Iterator[str]:
    handler = type("Handler", (OllamaHandler,), {"models": models})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()
