"""Runs one of the two and prints what it found; its exit code says whether all was kept."""

import asyncio
import sys

from tests.databases import running_database
from tests.kept import away, kills


def main() -> int:
    """Run what the command line names."""
    what, *words = sys.argv[1:]
    with running_database(words[-1]) as database:
        if what == "kills":
            return asyncio.run(kills.run(database, int(words[0])))
        return asyncio.run(away.run(database))


if __name__ == "__main__":
    sys.exit(main())
