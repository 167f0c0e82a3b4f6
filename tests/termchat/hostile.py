"""What a model could write to make a terminal obey it, each with what is to be seen of it."""

import json
from typing import Final

SEQUENCES: Final = {
    "a title": ("\x1b]0;owned\x07", "␛]0;owned␇"),
    "the clipboard": ("\x1b]52;c;cm0gLXJm\x07", "␛]52;c;cm0gLXJm␇"),
    "a link that reads otherwise": ("\x1b]8;;http://evil\x1b\\safe\x1b]8;;\x1b\\", "␛]8;;http://evil␛\\safe␛]8;;␛\\"),
    "an erased screen": ("\x1b[2J\x1b[H", "␛[2J␛[H"),
    "an 8-bit control sequence": ("\x9b31mred", "\ufffd31mred"),
    "a report that is typed": ("\x1b[6n\x1b[c", "␛[6n␛[c"),
    "a device control string": ("\x1bP$q\x1b\\", "␛P$q␛\\"),
    "a line that covers itself": ("rm -rf /\rls       ", "rm -rf /␍ls       "),
    "backspaces": ("evil\b\b\b\bgood", "evil␈␈␈␈good"),
    "the other character set": ("\x0e\x1b(0qqq\x0f", "␎␛(0qqq␏"),
    "letters turned around": ("a\u202egnp.exe", "a\ufffdgnp.exe"),
    "a hidden null": ("a\x00b\x7f", "a␀b␡"),
}

CASE: Final = "chat_hostile"


def recording() -> str:
    """Return a recording, as tests/captures has them, of a model that writes all of them a character at a time."""
    message = {"role": "assistant", "content": ""}
    text = "".join(f"{written}\n" for written, _ in SEQUENCES.values())
    lines = [{"model": CASE, "message": {**message, "thinking": f"\x1b[31m{text}"}, "done": False}]
    lines += [{"model": CASE, "message": {**message, "content": char}, "done": False} for char in text]
    call = {"function": {"name": "\x1b]0;tool\x07", "arguments": {"a\x1b[2J": "\x1b[31m"}}}
    lines += [{"model": CASE, "message": {**message, "tool_calls": [call]}, "done": False}]
    lines += [{"model": CASE, "message": message, "done": True, "done_reason": "stop"}]
    parts = [json.dumps(line) + "\n" for line in lines]
    request = {"method": "POST", "path": "/api/chat", "headers": {}, "body": {"model": CASE}}
    headers = {"Content-Type": "application/x-ndjson", "Transfer-Encoding": "chunked"}
    response = {"status": "HTTP/1.1 200 OK", "headers": headers, "t_ms": 0.0}
    rows: list[object] = [{"case": CASE, "request": request, "response": response}]
    rows += [{"t_ms": 0.0, "chunk": part, "frames": [len(part.encode())]} for part in parts]
    rows += [{"t_ms": 0.0, "chunk": "", "frames": [0]}, {"t_ms": 0.0, "end": "last chunk received"}]
    return "".join(json.dumps(row) + "\n" for row in rows)


def shown() -> list[str]:
    """Return the lines in which a reader sees them."""
    return [line for _, line in SEQUENCES.values()]
