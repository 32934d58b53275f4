"""``gestalt``: runs one command and turns its outcome into an exit code; no stack trace reaches the user.

Exit codes: 0 success, 1 the command failed, 2 the command line is wrong, 130 interrupted. Only the standard library is
imported here, so that a package that is missing can be named.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from gestalt_host.cli import streams


def run(args: Sequence[str] | None = None) -> int:
    """Run one command line (default: the process's own) and return its exit code."""
    try:
        from gestalt_host.cli import program

        return program.run(args)
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package in ("", "gestalt_host"):
            raise
        sys.stderr.write(
            f"error: gestalt needs the Python package '{package}', which is not installed: "
            "install gestalt with its extra 'host', from its source tree with pip install '.[host]'\n"
        )
        return 1


def main() -> None:
    streams.prepare()
    sys.exit(run())


if __name__ == "__main__":
    main()
