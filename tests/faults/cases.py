"""Named cases of docs/faults.md that need measured numbers, as data: what is done, and what may be measured then.

``injections`` does them, each against real processes of its own, and the common gate follows each.
"""

import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

_OPERATORS: Final[Mapping[str, Callable[[float, float], bool]]] = {
    "<": operator.lt,
    "<=": operator.le,
    "=": operator.eq,
    ">=": operator.ge,
    ">": operator.gt,
}


@dataclass(frozen=True)
class Expect:
    """What is allowed of one measured number."""

    metric: str
    op: str
    value: float

    def allows(self, measured: float) -> bool:
        """Whether the number is as it must be."""
        return _OPERATORS[self.op](measured, self.value)


@dataclass(frozen=True)
class Case:
    """One case.

    Args:
        inject: the name of its injection.
        needs: tools that the machine must have, and "root".
    """

    id: str
    does: str
    inject: str
    expect: tuple[Expect, ...]
    needs: tuple[str, ...] = ()


MIB: Final = float(1 << 20)
LOGS_TOTAL_BYTES: Final = 128 << 20
STREAM_BYTES: Final = (
    200_000  # beside its log: most of a line of 64 KiB, a write buffer of as much, and a frame over it
)

CASES: Final = (
    Case(
        "C5",
        "two hundred readers stop at once",
        "readers_that_stop",
        (
            Expect("bytes held for each", "<", 400_000),
            Expect("readers cut", "=", 200),
            Expect("seconds until all are cut", "<=", 10),  # 1 after its last byte, on a machine that is busy as well
            Expect("others served meanwhile", "=", 10),
        ),
    ),
    Case(
        "O9",
        "64 KiB tokens on five hundred streams that nobody reads",
        "huge_tokens",
        (
            Expect("proxy grew, MiB", "<=", (LOGS_TOTAL_BYTES + 500 * STREAM_BYTES) / MIB),
            Expect("answers that the model finished", "=", 500),
            Expect("answers that ended stop", "=", 500),
        ),
    ),
    Case(
        "O10",
        "both servers get a fifth of a core, fifty streams wait for slow words",
        "starved_processor",
        (
            Expect("longest silence, in heartbeats", "<", 3),
            Expect("answers that are whole or refused", "=", 50),
        ),
    ),
    Case(
        "O11",
        "the model server refuses half of two hundred questions",
        "half_of_all_fail",
        (
            Expect("calls for each that is refused", "<=", 3),
            Expect("calls for each that is not", "=", 1),
            Expect("good answers", "=", 100),
            Expect("refused as upstream_unavailable", "=", 100),
        ),
    ),
    Case(
        "L13",
        "no rights, a read-only root, 256 processes at most",
        "no_rights",
        (
            Expect("answers that are whole", "=", 50),
            Expect("places in the root that can be written", "=", 0),
            Expect("capabilities", "=", 0),
            Expect("user id", "=", 65532),
        ),
        needs=("root", "unshare", "setpriv", "prlimit"),
    ),
    Case(
        "L14",
        "the disk that holds the log is full",
        "full_disk",
        (
            Expect("answers that are whole", "=", 50),
            Expect("lines lost and counted, gateway", ">", 0),
            Expect("lines lost and counted, proxy", ">", 0),
        ),
    ),
    Case(
        "T15",
        "six hundred sockets drip headers, drip bodies or say nothing",
        "dripping_sockets",
        (
            Expect("sockets closed", "=", 600),
            Expect("seconds until the last is closed", "<=", 15 + 4),  # the gateway's limit for headers, and slack
            Expect("others served meanwhile", "=", 20),
        ),
    ),
    Case(
        "T21",
        "a stranger says who he is, in X-Forwarded-For and its like",
        "forged_addresses",
        (
            Expect("answers that are whole", "=", 5),
            Expect("places that repeat it", "=", 0),
        ),
    ),
)
