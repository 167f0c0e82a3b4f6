"""What ``--help`` says after the options: settings, model names, their parameters, every fault."""

from collections.abc import Iterable
from typing import Final

from services.runtime.settings import describe
from services.simulator.faults import ERROR_WORDS, IN_BYTES, IN_LINES, INSTEAD, Fault
from services.simulator.models import BUILT_IN
from services.simulator.script import PARAMETERS, default_text
from services.simulator.settings import Settings

_GRAMMAR: Final = """\
model names:
  NAME, NAME:latest, or NAME:parameter=value,parameter=value,... (256 characters at most)
  for example  sim:tokens=200,rate=50,jitter=0.2,fault=reset,at=20
  A recording of tests/captures answers to its case's name, such as chat_tool_call, byte for byte; of the parameters
  it takes pace, piece, burst, status, times and the faults that come instead of an answer. It needs no permit.
  Faults in lines and bytes need a stream; with "stream": false only fault=error does something: status 500."""


def manual() -> str:
    """Return the text; the documents and the tests are held to the tables that it prints."""
    settings = [f"{row.name}={row.default}\n      {row.description}" for row in describe(Settings)]
    parameters = [
        f"{name + '=' + parameter.form:<16} {parameter.meaning}{_default(name)}"
        for name, parameter in PARAMETERS.items()
    ]
    sections = [
        _section("settings (environment):", settings),
        _GRAMMAR + "\n" + _section("", [f"{name:<10} {model.does}" for name, model in BUILT_IN.items()]),
        _section("parameters:", parameters),
        _section("faults instead of an answer:", _faults(INSTEAD.items())),
        _section("faults in the lines:", _faults(IN_LINES.items())),
        _section("faults in the bytes:", _faults(IN_BYTES.items())),
        _section("words of fault=error:", [f"{name:<10} {text}" for name, text in ERROR_WORDS.items()]),
        "GET /simulator/witness tells every call and what was made of it (?after=ID: later ones); DELETE clears it.",
    ]
    return "\n\n".join(sections).replace("%", "%%")


def _section(title: str, rows: Iterable[str]) -> str:
    return title + "".join(f"\n  {row}" for row in rows)


def _faults(faults: Iterable[tuple[str, Fault]]) -> list[str]:
    return [f"{name:<16} {fault.does}" for name, fault in faults]


def _default(name: str) -> str:
    default = default_text(name)
    return f" [{default}]" if default else ""
