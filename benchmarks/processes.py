"""What the processes of one host spend."""

from __future__ import annotations

import os
from pathlib import Path

from tests.support.gestaltd import Gestaltd


def processes(host: Gestaltd) -> list[tuple[str, int]]:
    """Name and PID of the host and of each provider process."""
    return [("gestaltd", host.pid), *((child.name or "?", child.pid) for child in host.children())]


def cpu_s(pid: int) -> float:
    """CPU seconds, user and system, that the process has spent so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class CpuMeter:
    """CPU of each process from its making to ``spent``."""

    def __init__(self, host: Gestaltd) -> None:
        self._before = [(name, pid, cpu_s(pid)) for name, pid in processes(host)]

    def spent(self) -> dict[str, float]:
        return {name: cpu_s(pid) - before for name, pid, before in self._before}
