"""What a provider has started, wherever it has gone: known by the socket that its environment names.

A process that has left its provider's group and session (``setsid``) is not reached by a signal to the group. It is
found as long as it keeps the environment that it was started with, which Linux shows for processes of this user.
"""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator
from pathlib import Path

from gestalt_sdk.common.process_identity import ProcessIdentity
from gestalt_sdk.transport.environment import PLUGIN_SOCKET

LOOKS = 5
"""While strays are killed one of them may start another."""


def strays_of(directory: Path) -> Iterator[ProcessIdentity]:
    """Yield every process of the provider whose socket is in the directory, the provider's own one included."""
    mark = f"{PLUGIN_SOCKET}={directory}/".encode()
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # It has ended, or is another user's.
            if any(variable.startswith(mark) for variable in (entry / "environ").read_bytes().split(b"\0")):
                yield ProcessIdentity.of(int(entry.name))


def end_strays(directory: Path) -> list[int]:
    """Kill what an ended provider has left; return the numbers of those processes."""
    ended: list[int] = []
    for _ in range(LOOKS):
        found = [stray for stray in strays_of(directory) if stray.is_running()]
        if not found:
            break
        for stray in found:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(stray.pid, signal.SIGKILL)
                ended.append(stray.pid)
    return sorted(set(ended))
