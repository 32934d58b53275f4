"""Telling whether a process that was noted down still runs, although its number may have been given to another."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_STAT_START_FIELD = 19  # Of the fields that follow the command name, which is in parentheses.


@dataclass(frozen=True, slots=True)
class ProcessIdentity:
    """A process number with what makes it unique: start time, boot, and the namespace that the number counts in."""

    pid: int
    start: str
    boot: str
    namespace: str

    def __str__(self) -> str:
        return f"{self.pid} {self.start or '-'} {self.boot or '-'} {self.namespace or '-'}"

    @classmethod
    def parse(cls, text: str) -> ProcessIdentity | None:
        """Read back what ``str`` wrote; None for anything else."""
        parts = text.split()
        if len(parts) != 4 or not parts[0].isdecimal():
            return None
        start, boot, namespace = ("" if part == "-" else part for part in parts[1:])
        return cls(int(parts[0]), start, boot, namespace)

    @classmethod
    def of(cls, pid: int) -> ProcessIdentity:
        return cls(pid, _start_time(pid), _boot_id(), _namespace())

    def is_provably_dead(self) -> bool:
        """True only when no process can be this one any more; one of another PID namespace cannot be judged."""
        if self.namespace != _namespace():
            return False
        if self.boot != _boot_id():
            return True
        return not _exists(self.pid) or _start_time(self.pid) != self.start

    def is_running(self) -> bool:
        """True only when the process with this number certainly is this one."""
        same_machine = self.namespace == _namespace() and self.boot == _boot_id()
        return same_machine and bool(self.start) and _start_time(self.pid) == self.start


def _start_time(pid: int) -> str:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return ""
    fields = stat.rpartition(")")[2].split()
    # A zombie has ended; only its parent's wait is missing.
    return "" if fields[0] in ("Z", "X") else fields[_STAT_START_FIELD]


def _boot_id() -> str:
    try:
        return _BOOT_ID.read_text().strip()
    except OSError:
        return ""


def _namespace() -> str:
    try:
        return str(Path("/proc/self/ns/pid").readlink())
    except OSError:
        return ""


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
