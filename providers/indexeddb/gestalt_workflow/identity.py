"""Who holds a claim: an identity that is new with every start and tells whether its process still lives.

It names boot, PID namespace, PID, process start time and a random part (design decision 6). On the same boot and in the
same namespace the kernel can be asked whether that process is gone; elsewhere only the end of its lease tells.
"""

from __future__ import annotations

import os
import secrets
from pathlib import Path

_UNKNOWN = "-"


def new_owner() -> str:
    """The identity of this process, with a fresh random part."""
    boot, namespace = _boot_id(), _pid_namespace()
    pid = os.getpid()
    started = _process_start(pid) or _UNKNOWN
    return "/".join((boot, namespace, str(pid), started, secrets.token_hex(8)))


def provably_dead(owner: str) -> bool:
    """True only when the kernel says that the process behind the identity has ended."""
    parts = owner.split("/")
    if len(parts) != 5 or _UNKNOWN in parts[:4] or not parts[2].isdecimal():
        return False
    boot, namespace, pid, started, _ = parts
    if boot != _boot_id() or namespace != _pid_namespace():
        return False
    return _process_start(int(pid)) != started


def _boot_id() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip() or _UNKNOWN
    except OSError:
        return _UNKNOWN


def _pid_namespace() -> str:
    try:
        return str(Path("/proc/self/ns/pid").readlink())
    except OSError:
        return _UNKNOWN


def _process_start(pid: int) -> str | None:
    """Start time in clock ticks since boot, None when there is no such process, or only its corpse."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    except OSError:
        return _UNKNOWN
    fields = text.rpartition(")")[2].split()
    if fields[0] in ("Z", "X"):
        return None
    return fields[19]
