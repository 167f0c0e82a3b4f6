"""Every fault by its name: what the reader sees, and which parameters turn it. ``--help`` prints this table.

Instead of an answer (before any load or permit): :data:`INSTEAD`. In the lines: :data:`IN_LINES`; one of
:data:`IN_BYTES` changes how they are framed or sent. Their makers stand in byte_faults.py and line_faults.py; a test
holds that each name here has exactly one.
"""

from collections.abc import Mapping
from typing import Final, NamedTuple


class Fault(NamedTuple):
    """One fault: what it does, and the parameters that it reads."""

    does: str
    reads: tuple[str, ...] = ()


INSTEAD: Final[Mapping[str, Fault]] = {
    "refuse": Fault("the connection is taken and closed without a byte"),
    "garbage": Fault("bytes that are no HTTP, then the connection is closed"),
    "redirect": Fault("302 to the host that to= names", ("to",)),
    "queue_full": Fault("503 in the words of a full load queue, without Retry-After"),
    "no_load": Fault(
        "load= seconds, then 500 in the words of words=: a model that cannot be loaded", ("load", "words")
    ),
    "page": Fault("a web server's page under status=, absent 200", ("status",)),
    "encoded": Fault("a compressed body, which nobody asked for"),
}

IN_LINES: Final[Mapping[str, Fault]] = {
    "stall": Fault("silence after at= tokens for for= seconds, then on as if nothing had happened", ("at", "for")),
    "truncate": Fault("after at= tokens a proper end of the body, without done", ("at",)),
    "error": Fault("after at= tokens an error line (words=) under status 200, then a proper end", ("at", "words")),
    "malformed": Fault("after at= tokens, count= lines that are no JSON, then on", ("at", "count")),
    "not_object": Fault("after at= tokens, count= lines that are JSON and no object, then on", ("at", "count")),
    "wrong_type": Fault("after at= tokens, count= lines whose fields have wrong types, then on", ("at", "count")),
    "nan": Fault("after at= tokens, count= lines with a NaN, then on", ("at", "count")),
    "bad_call": Fault(
        "after at= tokens, count= lines with one tool call that is none beside a good one", ("at", "count")
    ),
    "half_pair": Fault("after at= tokens, count= lines with half a surrogate pair, then on", ("at", "count")),
    "bad_utf8": Fault("after at= tokens, count= lines with text that is not UTF-8, then on", ("at", "count")),
    "deep": Fault("after at= tokens, a line with a list nested 10,000 deep in a field nobody reads, then on", ("at",)),
    "duplicate_keys": Fault("every line says its text twice, first wrongly: the last key counts"),
    "huge_line": Fault("after at= tokens, bytes= bytes without a newline, then a proper end", ("at", "bytes")),
    "endless": Fault("text goes on beyond num_predict and tokens= until the reader leaves"),
    "big_final": Fault("the final line carries a context of bytes= bytes", ("bytes",)),
    "huge_numbers": Fault("the final line's counters are 1e308, -0 and -1"),
    "odd_counters": Fault("the final line has no prompt_eval_count, and counters of a later version"),
    "odd_reason": Fault("done_reason is a word nobody knows"),
    "twice": Fault("the final line comes twice"),
    "after_done": Fault("text and an error line follow the final line"),
    "no_newline": Fault("the final line has no newline"),
    "blank": Fault("a blank line follows each line"),
    "crlf": Fault("lines end in CR LF"),
    "bom": Fault("a byte order mark stands before the first line"),
}

IN_BYTES: Final[Mapping[str, Fault]] = {
    "reset": Fault("RST 20 ms after token at=", ("at",)),
    "reset_at_once": Fault("RST in the same turn as token at=", ("at",)),
    "reset_done": Fault("RST in the same turn as the final line, no last chunk"),
    "close": Fault("FIN after at= tokens, no last chunk", ("at",)),
    "cut": Fault("FIN inside a chunk, in the middle of the line after token at=", ("at",)),
    "until_close": Fault("no framing: the end of the connection ends the body; with done"),
    "until_close_cut": Fault("the same, ended after at= tokens, without done", ("at",)),
    "length_cut": Fault("Content-Length and exactly so many bytes: at= tokens, without done", ("at",)),
    "mute": Fault("not one byte for for= seconds, then the answer", ("for",)),
    "freeze": Fault("as mute, and until its end /api/ps does not answer either: a frozen llama-server", ("for",)),
    "header_stall": Fault("the header alone, then silence for for= seconds, then the answer", ("for",)),
    "slow_header": Fault("the header byte by byte over for= seconds, then the answer", ("for",)),
    "bad_chunk": Fault("after at= tokens a chunk size that is no number, then silence", ("at",)),
    "trailers": Fault("bytes= bytes of trailers after the last chunk", ("bytes",)),
    "wedge": Fault("a sound answer; whose reader leaves before its end takes its permit along, until an unload"),
    "deaf": Fault("generation goes on to its end and keeps its permit though the reader has left"),
}

FAULTS: Final[Mapping[str, Fault]] = {**INSTEAD, **IN_LINES, **IN_BYTES}

ERROR_WORDS: Final[Mapping[str, str]] = {
    "crash": "an error was encountered while running the model: unexpected EOF",
    "path": "open /root/.ollama/models/blobs/sha256-0f1e2d: no such file or directory",
    "host": 'Post "http://127.0.0.1:36213/completion": dial tcp 10.20.30.40:36213: connect: connection refused',
    "windows": r"C:\Users\ada\.ollama\models\blobs\sha256-0f1e2d is in use by llama-host.corp.example:36213",
    "load": "llama-server process has terminated: signal: killed",
    "tensor": "unable to load model: missing tensor 'blk.1.attn_norm.weight'",
    "memory": "model requires more system memory (5.6 GiB) than is available (3.1 GiB)",
    "tool": "llama-server returned invalid tool call arguments for get_weather: unexpected end of JSON input",
    "json": '{"error":{"code":500,"message":"compute failed","type":"server_error"}}',
    "empty": "",
}
