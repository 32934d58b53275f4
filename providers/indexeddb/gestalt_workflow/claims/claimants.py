"""Name the processes that hold claims, and tell whether one of them still lives.

A claimant's name is new with every start: boot, PID namespace, PID, process start time and a random part (decision 6).
On the same boot and in the same namespace the kernel can be asked whether that process is gone; elsewhere only the end
of its lease tells.
"""

from __future__ import annotations

import os
import secrets

from gestalt_sdk.common.process_identity import ProcessIdentity

_UNKNOWN = "-"


def new_claimant() -> str:
    """Return a name for this process as a claimant, with a fresh random part."""
    own = ProcessIdentity.of(os.getpid())
    parts = (own.boot, own.namespace, str(own.pid), own.start, secrets.token_hex(8))
    return "/".join(part or _UNKNOWN for part in parts)


def provably_dead(claimant: str) -> bool:
    """Return whether the kernel says that the claimant's process has ended; False also where it cannot be asked."""
    parts = claimant.split("/")
    if len(parts) != 5 or _UNKNOWN in parts[:4] or not parts[2].isdecimal():
        return False
    boot, namespace, pid, started, _ = parts
    return ProcessIdentity(int(pid), started, boot, namespace).has_ended()
