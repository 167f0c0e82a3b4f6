"""Each example of docs/clients.md runs as it stands there, but for the server's address and the model's name."""

import re
import subprocess
from pathlib import Path
from typing import Final, NamedTuple

import pytest

from services.simulator.speech import STORY
from tests.chain import ROOT, Chain
from tests.client_environment import environment_of, node, packages

PAGE: Final = (ROOT / "docs/clients.md").read_text(encoding="utf-8")
BLOCK: Final = re.compile(r"<!-- run: (?:(node) )?([\w-]+) -->\n```\w+\n(.*?)```", re.DOTALL)
RUN_TIMEOUT_S: Final = 50.0
MOST_LINES: Final = 12


class Example(NamedTuple):
    """A program on the page; ``lock`` names what it needs."""

    is_javascript: bool
    lock: str
    program: str

    def command(self, folder: Path) -> list[str]:
        """Write it into ``folder``, and return what runs it there."""
        if not self.is_javascript:
            file = folder / "example.py"
            python = str(environment_of(self.lock))
            return [python, str(file)]
        (folder / "node_modules").symlink_to(packages(self.lock) / "node_modules")
        return [str(node()), str(folder / "example.mjs")]


EXAMPLES: Final = [Example(bool(node), lock, program) for node, lock, program in BLOCK.findall(PAGE)]


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.lock)
def test_an_example_prints_the_answer(example: Example, chain: Chain, tmp_path: Path) -> None:
    command = example.command(tmp_path)
    program = example.program.replace("http://localhost:3001", chain.gateway.url).replace("llama3.2", "story")
    Path(command[-1]).write_text(program, encoding="utf-8")
    done = subprocess.run(command, capture_output=True, text=True, timeout=RUN_TIMEOUT_S, check=False)

    assert done.returncode == 0, done.stderr
    assert STORY in done.stdout


def test_the_page_has_an_example_for_each_client_and_all_are_short() -> None:
    marked = PAGE.count("<!-- run: ")

    assert len(EXAMPLES) == marked >= 5
    assert max(len(example.program.strip().split("\n")) for example in EXAMPLES) <= MOST_LINES
