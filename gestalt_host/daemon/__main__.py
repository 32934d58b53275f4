"""The program `gestaltd`. Names a package that is missing, whichever command needs it."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from gestalt_host.daemon import program
from gestalt_sdk.common.missing_packages import missing_package


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status."""
    words = sys.argv[1:] if arguments is None else arguments
    try:
        return program.run(words)
    except ModuleNotFoundError as error:
        text = missing_package("gestaltd", error)
        if sys.stderr is not None:
            sys.stderr.write(f"gestaltd: {text}\n")
        return 1


if __name__ == "__main__":
    sys.exit(main())
