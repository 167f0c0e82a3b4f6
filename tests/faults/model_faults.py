"""What a model server may do in a random run, and what its answer is then allowed to come to. Pure.

A row is a script of the simulator's (services/simulator/faults.py); ``{at}`` and ``{count}`` are drawn.
"""

from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

from services.wire.events import Code, FinishReason

STOP: Final = frozenset({str(FinishReason.STOP)})
ONE_CALL: Final = 1
WITH_STALE: Final = 2  # a pooled connection that dies before any byte is replaced once
RETRIED: Final = 4  # three attempts, and a stale connection before the first
NUM_PREDICT: Final = 10
PAST_NUM_PREDICT: Final = 2 * NUM_PREDICT + 64


class Shown(Enum):
    """How much of the text has been shown where the answer ends by the row's own end."""

    ALL = auto()
    FIRST = auto()  # exactly the first ``at`` tokens
    SOME = auto()  # a beginning of these: what a reset overtakes is lost in the kernel
    NONE = auto()


@dataclass(frozen=True)
class ModelFault:
    """One row.

    Args:
        ends: reasons that the stream may end with.
        shown: of its text, where it ended so; a `stop` has shown ALL in any case.
        calls: how often the model server may be asked.
        most_count: ``{count}`` is drawn from 1 to this.
    """

    script: str
    ends: frozenset[str] = STOP
    shown: Shown = Shown.ALL
    calls: int = ONE_CALL
    most_count: int = 1


def _broken(script: str, code: Code, shown: Shown = Shown.FIRST, calls: int = ONE_CALL, count: int = 1) -> ModelFault:
    return ModelFault(script, frozenset({str(code)}), shown, calls, count)


SOUND: Final = (
    ModelFault(""),
    ModelFault("rate=300"),
    ModelFault(
        "load=0.05,prefill=0.2"
    ),  # models load one after another: fifty must not wait for the first token's limit
    ModelFault("piece=5"),
    ModelFault("burst=5,rate=300"),
)
"""No fault at all."""

HARMLESS: Final = (
    ModelFault("fault=stall,at={at},for=0.4"),
    ModelFault("fault=mute,for=0.4"),
    ModelFault("fault=header_stall,for=0.4"),
    ModelFault("fault=slow_header,for=0.4"),
    ModelFault("fault=malformed,at={at},count={count}", most_count=7),
    ModelFault("fault=not_object,at={at},count={count}", most_count=5),
    ModelFault("fault=nan,at={at}"),
    ModelFault("fault=deep,at={at}"),
    *(ModelFault(f"fault={name}") for name in ("duplicate_keys", "blank", "crlf", "bom", "no_newline")),
    *(ModelFault(f"fault={name}") for name in ("twice", "after_done", "huge_numbers", "odd_counters", "odd_reason")),
    ModelFault("fault=big_final,bytes=20000"),
    ModelFault("fault=trailers,bytes=2000"),
    ModelFault("fault=until_close"),
    *(
        ModelFault(f"{trouble},times={{count}}", calls=RETRIED, most_count=2)
        for trouble in ("status=503", "status=500")
    ),
    *(ModelFault(f"fault={name},at=0,times={{count}}", calls=RETRIED, most_count=2) for name in ("close", "truncate")),
    *(ModelFault(f"fault={name},times=1", calls=RETRIED) for name in ("refuse", "queue_full")),
)
"""A fault that the reader must not notice."""

BROKEN: Final = (
    _broken("fault=error,at={at}", Code.UPSTREAM_ERROR),
    _broken("fault=error,at=0", Code.UPSTREAM_ERROR, Shown.NONE),
    *(_broken(f"fault={name},at={{at}}", Code.UPSTREAM_TRUNCATED) for name in ("truncate", "length_cut")),
    _broken("fault=until_close_cut,at={at}", Code.UPSTREAM_TRUNCATED),
    _broken("fault=truncate,at=0", Code.UPSTREAM_TRUNCATED, Shown.NONE, RETRIED),
    *(_broken(f"fault={name},at={{at}}", Code.UPSTREAM_DISCONNECTED) for name in ("close", "cut")),
    _broken("fault=reset,at={at},rate=300", Code.UPSTREAM_DISCONNECTED, Shown.SOME, RETRIED),
    _broken("fault=reset_at_once,at={at}", Code.UPSTREAM_DISCONNECTED, Shown.SOME, RETRIED),
    ModelFault("fault=reset_done", STOP | {str(Code.UPSTREAM_DISCONNECTED)}, Shown.SOME, RETRIED),
    _broken("fault=stall,at={at}", Code.UPSTREAM_TIMEOUT),
    *(_broken(f"fault={name}", Code.UPSTREAM_TIMEOUT, Shown.NONE) for name in ("mute", "header_stall")),
    _broken("fault=malformed,at={at},count=8", Code.UPSTREAM_MALFORMED),
    _broken("fault=bad_chunk,at={at}", Code.UPSTREAM_MALFORMED),
    _broken("fault=garbage", Code.UPSTREAM_MALFORMED, Shown.NONE, WITH_STALE),
    *(_broken(f"fault={name}", Code.UPSTREAM_MALFORMED, Shown.NONE) for name in ("page", "encoded")),
    _broken("fault=refuse", Code.UPSTREAM_DISCONNECTED, Shown.NONE, RETRIED),
    _broken("status=500", Code.UPSTREAM_ERROR, Shown.NONE, RETRIED),
    *(_broken(f"status={code}", Code.UPSTREAM_UNAVAILABLE, Shown.NONE, RETRIED) for code in (429, 502, 503)),
    _broken("fault=queue_full", Code.UPSTREAM_UNAVAILABLE, Shown.NONE, RETRIED),
    _broken("status=400", Code.INVALID_REQUEST, Shown.NONE),
    _broken("status=403", Code.UPSTREAM_ERROR, Shown.NONE),
    _broken("fault=redirect", Code.UPSTREAM_ERROR, Shown.NONE),
    _broken("fault=no_load,load=0.2,words=memory", Code.UPSTREAM_ERROR, Shown.NONE),
    _broken("fault=endless", Code.UPSTREAM_ERROR),
)
"""A fault that ends the answer, with the word for it."""
