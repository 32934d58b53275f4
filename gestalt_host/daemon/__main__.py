"""The program `gestaltd`. Imports what needs packages late, so that one that is missing can be named."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from gestalt_sdk.common.missing_packages import missing_package


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status."""
    words = sys.argv[1:] if arguments is None else arguments
    try:
        from gestalt_host.daemon import program

        return program.run(words)
    except ModuleNotFoundError as error:
        text = missing_package("gestaltd", error)
        if sys.stderr is not None:
            sys.stderr.write(f"gestaltd: {text}\n")
        return 1


if __name__ == "__main__":
    sys.exit(main())
