"""Tell whether a process that was noted down still runs, although its number may belong to another one now."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_STAT_START_FIELD = 19  # Of the fields that follow the command name, which is in parentheses.


@dataclass(frozen=True, slots=True)
class ProcessIdentity:
    """Identify a process by its number, start time, boot, and the namespace that the number counts in."""

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
        """Return the identity of the process that has this number now; what the kernel does not tell is blank."""
        return cls(pid, _start_time(pid) or "", _boot_id(), _namespace())

    def is_of_this_boot(self) -> bool:
        """Tell whether it is of this boot and PID namespace; only then can the kernel be asked about it."""
        return bool(self.boot and self.namespace) and self.namespace == _namespace() and self.boot == _boot_id()

    def is_running(self) -> bool:
        """Return True only when the process with this number certainly is this one."""
        return self.is_of_this_boot() and bool(self.start) and _start_time(self.pid) == self.start

    def is_of_an_earlier_boot(self) -> bool:
        """Tell whether it was noted before the machine started again, with the same PID namespace.

        Only for what was noted on this machine.
        """
        boot = _boot_id()
        return bool(boot and self.boot) and self.boot != boot and self.namespace == _namespace()

    def has_ended(self) -> bool:
        """Return True only when the kernel says that the process has ended.

        It does when there is no such process, only a zombie of it, or another one with its number.
        """
        if not (self.is_of_this_boot() and self.start):
            return False
        start = _start_time(self.pid)
        return start is None or (start != "" and start != self.start)


def is_stopped(pid: int) -> bool:
    """Tell whether the kernel says that the process was stopped by a signal, and so does nothing at all."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] == "T"


def _start_time(pid: int) -> str | None:
    """In clock ticks since boot; None when there is no such process, or only its corpse; blank when it is hidden."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return "" if _exists(pid) else None
    fields = stat.rpartition(")")[2].split()
    # A zombie has ended; only its parent's wait is missing.
    return None if fields[0] in ("Z", "X") else fields[_STAT_START_FIELD]


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
