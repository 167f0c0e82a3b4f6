"""What the simulator can be told from outside; everything about one answer is said in its model's name instead."""

from pathlib import Path
from typing import ClassVar, Final

from pydantic import Field, field_validator

from services.runtime.settings import Address, ProcessSettings
from services.simulator.script import Script, parse

CHECKOUT_CAPTURES: Final = Path(__file__).parents[2] / "tests" / "captures"
DEFAULT_SCRIPT: Final = "rate=25,jitter=0.2,load=0.3,prefill=0.15"


class Settings(ProcessSettings):
    """The environment of ``python -m services.simulator``."""

    PREFIX: ClassVar[str] = "SLUICE_SIMULATOR_"

    listen: Address = Field(
        default=Address("127.0.0.1", 11435),
        description="host:port, one above Ollama's own so that both can run; port 0 is any free one",
    )
    script: str = Field(
        default=DEFAULT_SCRIPT,
        description="parameters that every model name starts from, a default fault included; as in a name, without it",
    )
    num_parallel: int = Field(
        default=1, ge=1, le=10_000, description="answers at once per model; OLLAMA_NUM_PARALLEL, whose default is 1"
    )
    max_queue: int = Field(
        default=512, ge=0, le=100_000, description="requests that wait for a load; OLLAMA_MAX_QUEUE; 0: none may wait"
    )
    keep_alive_s: float = Field(
        default=300.0,
        description="seconds an idle model stays loaded; 0: not at all, negative: for ever; OLLAMA_KEEP_ALIVE",
    )
    captures: str = Field(
        default="",
        description="folder of recordings, replayed by their names; empty: a checkout's tests/captures, else none",
    )

    @field_validator("script")
    @classmethod
    def _is_script(cls, value: str) -> str:
        parse(value, Script())
        return value
