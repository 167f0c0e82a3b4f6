"""``python -m tests.bench``: run the contenders in turn, print the table, write the report."""

import sys

from tests.bench.command import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
