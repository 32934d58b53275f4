"""A program that stands in for a host: it starts a provider as its child, says its number, and waits to be killed.

It is run by its path, with ``-I -S``, and imports nothing of this project. One line of JSON comes in: ``args`` and
``env``. ``GESTALT_PLUGIN_PARENT_PID`` becomes its own number.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys


def main() -> None:
    """Start the provider; one that cannot be executed has the number 0."""
    order = json.loads(sys.stdin.readline())
    environment = {**order["env"], "GESTALT_PLUGIN_PARENT_PID": str(os.getpid())}
    try:
        child = subprocess.Popen(
            order["args"],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
    except OSError:
        _tell(0)
        return
    _tell(child.pid)
    child.wait()
    sys.stdin.read()


def _tell(pid: int) -> None:
    sys.stdout.write(f"{pid}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
