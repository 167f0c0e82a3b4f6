"""``python -m gateway keys``: make a key, list those of the file, check the file."""

import argparse
import json
import secrets
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from gateway.guard.key_text import ALPHABET, ENVIRONMENT, ID_LENGTH, SECRET_LENGTH, hash_of, key_text
from gateway.guard.keys import BadKeysFile, Key, read_keys
from gateway.guard.keys_files import KeysFiles, read_pepper
from gateway.settings import GatewaySettings
from services.runtime.settings import variable

KEYS_FILE: Final = variable(GatewaySettings, "keys_file")
PEPPER_FILE: Final = variable(GatewaySettings, "pepper_file")
_NEW: Final = """\
The key of {name}, shown this once; nothing of ours keeps it:

  {key}

What to add to the keys file; a running gateway reads it within two seconds:

{table}"""
_TABLE: Final = """\
[[key]]
id = "{id}"
hash = "{hash}"
name = {name}
# models = ["llama3.2"]          # absent: every model
# scopes = ["chat", "models"]    # absent: these two; there are streams and admin, too
# max_output_tokens = 2048
# not_after = {year}-12-31T23:59:59Z
"""


def keys_command(argv: Sequence[str], environ: Mapping[str, str]) -> int:
    """Run ``keys`` with its arguments; return the exit code: 0, or 1 with a line for each problem."""
    asked = _parser().parse_args(argv)
    try:
        pepper = _path(environ, PEPPER_FILE)
        if asked.action == "new":
            said = _new(asked.name, asked.environment, read_pepper(pepper), datetime.now(UTC))
        else:
            ring = KeysFiles(_path(environ, KEYS_FILE), pepper).read()
            said = "\n".join(map(_line, ring.keys.values())) if asked.action == "list" else f"{len(ring.keys)} keys"
    except BadKeysFile as bad:
        print(*bad.problems, sep="\n", file=sys.stderr)  # noqa: T201 the command's user reads it
        return 1
    print(said)  # noqa: T201 as above
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m gateway keys", description=f"Keys of {KEYS_FILE}, under the pepper of {PEPPER_FILE}."
    )
    actions = parser.add_subparsers(dest="action", required=True, metavar="new NAME | list | check")
    new = actions.add_parser("new", help="make a key, and print it with the table that goes into the file")
    new.add_argument("name", help="whose it is; keys of one name are one principal, with streams in common")
    new.add_argument("--environment", default="live", help="a word of the key that says where it is good [live]")
    actions.add_parser("list", help="a line for each key of the file: never the key itself")
    actions.add_parser("check", help="read the file as a gateway would")
    return parser


def _new(name: str, environment: str, pepper: bytes, now: datetime) -> str:
    if ENVIRONMENT.fullmatch(environment) is None:
        raise BadKeysFile(["--environment: expected 1 to 16 of a-z and 0-9"])
    key_id, secret = _drawn(ID_LENGTH), _drawn(SECRET_LENGTH)
    quoted = json.dumps(name, ensure_ascii=False)  # a string of JSON is one of TOML
    table = _TABLE.format(id=key_id, hash=hash_of(pepper, secret), name=quoted, year=now.year + 1)
    read_keys(table.encode("utf-8", "replace"))  # the rules for a name are the file's
    return _NEW.format(name=name, key=key_text(environment, key_id, secret), table=table)


def _drawn(length: int) -> str:
    return "".join(secrets.choice(ALPHABET) for _ in range(length))


def _line(key: Key) -> str:
    until = f"until {key.not_after:%Y-%m-%d}" if key.not_after else "for ever"
    return f"{key.id}  {key.name}  {','.join(sorted(key.scopes))}  {','.join(key.models)}  {until}"


def _path(environ: Mapping[str, str], name: str) -> Path:
    if not environ.get(name):
        raise BadKeysFile([f"{name}: set it to the file's path"])
    return Path(environ[name])
