"""Serve a provider from its source: ``python -m gestalt_sdk.run ROOT MODULE[:ATTR] [KIND]`` (contract.md 2.7)."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from gestalt_sdk.common.lean_imports import lean_imports

USAGE = "usage: python -m gestalt_sdk.run ROOT MODULE[:ATTR] [KIND]"


def main(arguments: Sequence[str]) -> int:
    """Return the exit status: 0 after an orderly end, 1 when there is nothing to serve, 2 for wrong arguments."""
    if len(arguments) not in (2, 3):
        print(USAGE, file=sys.stderr)
        return 2
    root, target = arguments[:2]
    with lean_imports():
        from gestalt_sdk.serving.process import serve
        from gestalt_sdk.serving.targets import TargetUnusable, find_provider

        try:
            make = find_provider(Path(root), target, arguments[2] if len(arguments) == 3 else "integration")
        except TargetUnusable as error:
            print(f"cannot serve {target}: {error}", file=sys.stderr)
            return 1
    return serve(make)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
