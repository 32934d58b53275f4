"""What processes spend: CPU and memory, as the kernel counts them."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from tests.support.rigs.gestaltd import Gestaltd


def processes(host: Gestaltd) -> list[tuple[str, int]]:
    """Name and PID of the host and of each provider process."""
    return [("gestaltd", host.pid), *((child.name or "?", child.pid) for child in host.children())]


def cpu_s(pid: int) -> float:
    """CPU seconds, user and system, that the process has spent so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def cpu_of_ended_children_s(pid: int) -> float:
    """CPU seconds of the processes that it has started and that have ended."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[13]) + int(fields[14])) / os.sysconf("SC_CLK_TCK")


def memory_mb(pid: int) -> tuple[float, float]:
    """Resident and proportional set size: the latter counts a page that n processes share as 1/n."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    kb = {line.split(":")[0]: int(line.split()[1]) for line in lines if line.startswith(("Rss:", "Pss:"))}
    return kb["Rss"] / 1024, kb["Pss"] / 1024


class CpuMeter:
    """CPU of each process from its making to ``spent``."""

    def __init__(self, pids: Iterable[tuple[str, int]]) -> None:
        self._before = [(name, pid, cpu_s(pid)) for name, pid in pids]

    def spent(self) -> dict[str, float]:
        return {name: cpu_s(pid) - before for name, pid, before in self._before}
