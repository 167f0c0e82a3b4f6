"""Pictures of the terminal chat, with a key and with tools: ``python -m tests.termchat.pictures <folder>``."""

import asyncio
import html
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from playwright.async_api import async_playwright

from tests.behaviour.keys_on_disk import KeysOnDisk
from tests.chain import running_chain
from tests.termchat.person import Cell, Person, person

COLOURS: Final = {"red": "#e06c5f", "green": "#7fc28a", "brown": "#d8b25c", "blue": "#8ab4f0", "cyan": "#74c7d6"}
PAGE: Final = """<!doctype html><meta charset="utf-8"><style>
body {{ margin: 0; background: #14181a; }}
pre {{ display: inline-block; margin: 0; padding: 18px 22px; color: #e3e7e8; }}
pre {{ font: 14px/1.45 "DejaVu Sans Mono", monospace; }}
</style><pre>{}</pre>"""


def talk(folder: Path, key: str, url: str) -> Iterator[str]:
    """Talk as three people do: with a key, without one, and with one that may not ask this model."""
    file = folder / "key"
    file.write_text(key)
    for arguments in (["--key-file", str(file)], [], ["--key-file", str(file), "--model", "story"]):
        with person(*arguments, url=url) as somebody:
            somebody.enter("What is a sluice?")
            somebody.sees_prompt()
            if arguments == ["--key-file", str(file)]:
                somebody.enter("/stats")
                somebody.sees_prompt()
            yield f"<b>$ sluice {' '.join(arguments).replace(str(file), 'key')}</b>\n{shown(somebody)}"


def with_tools(url: str) -> Iterator[str]:
    """Allow a tool, and refuse another."""
    for word in "yn":
        with person("--tools", "--model", "tooler:tool=oven", url=url) as somebody:
            somebody.enter("Turn the oven on in Reykjavík.")
            somebody.sees("[y/n]")
            somebody.type(f"{word}\r")
            somebody.sees_prompt()
            if word == "y":
                somebody.enter("/stats")
                somebody.sees_prompt()
            yield f"<b>$ sluice --tools --model tooler:tool=oven</b>\n{shown(somebody)}"


def shown(somebody: Person) -> str:
    """Return the screen as HTML, without the prompt that waits at its end."""
    rows = ["".join(map(marked, row)).rstrip() for row in somebody.cells]
    while rows and rows[-1] in {"", "&gt;&gt;&gt;"}:
        rows.pop()
    return "\n".join(rows)


def marked(cell: Cell) -> str:
    text = html.escape(cell.data)
    colour = COLOURS.get(cell.fg)
    style = f"color:{colour};" * bool(colour) + "font-weight:700" * cell.bold
    return f'<span style="{style}">{text}</span>' if style else text


async def main(folder: Path) -> None:
    with tempfile.TemporaryDirectory() as kept:
        keys = KeysOnDisk(Path(kept))
        key = keys.add(models='["sim"]')
        with running_chain(simulator={"SCRIPT": "rate=200,tokens=60"}, gateway=keys.settings) as chain:
            screens = await asyncio.to_thread(lambda: list(talk(Path(kept), key, chain.gateway.url)))
    await take(screens, folder / "terminal-key.png")
    with running_chain(
        simulator={"SCRIPT": "rate=60"}, gateway={"TOOLS": "*"}, proxy_module="tests.behaviour.tooled_proxy"
    ) as chain:
        screens = await asyncio.to_thread(lambda: list(with_tools(chain.gateway.url)))
    await take(screens, folder / "terminal-tool.png")


async def take(screens: list[str], path: Path) -> None:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        page = await browser.new_page(viewport={"width": 960, "height": 400}, device_scale_factor=1.5)
        await page.set_content(PAGE.format("\n\n".join(screens)))
        await page.locator("pre").screenshot(path=path)
        await browser.close()


if __name__ == "__main__":
    Path(sys.argv[1]).mkdir(parents=True, exist_ok=True)
    asyncio.run(main(Path(sys.argv[1])))
