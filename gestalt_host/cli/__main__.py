"""``gestalt``: runs one command and turns its outcome into an exit code; no stack trace reaches the user.

Exit codes: 0 success, 1 the command failed, 2 the command line is wrong, 130 interrupted. Nothing that needs
packages is imported here, so that a package that is missing can be named.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from gestalt_host.cli import streams
from gestalt_sdk.common.missing_packages import missing_package


def run(args: Sequence[str] | None = None) -> int:
    """Run one command line (default: the process's own) and return its exit code."""
    try:
        from gestalt_host.cli import program

        return program.run(args)
    except ModuleNotFoundError as error:
        sys.stderr.write(f"error: {missing_package('gestalt', error)}\n")
        return 1


def main() -> None:
    streams.prepare()
    sys.exit(run())


if __name__ == "__main__":
    main()
