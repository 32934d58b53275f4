"""The lines that are printed; a goal stands in brackets behind what it is for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from benchmarks.processes import memory_mb


def line(text: str) -> None:
    print(text, flush=True)


def rate(what: str, per_s: float, echo: float, unit: str = "runs/s", extra: str = "") -> None:
    line(f"{what}: {per_s:,.0f} {unit} ({per_s / echo:.3f} of the echo, {echo:,.0f} calls/s){extra}")


def cpu(spent: Mapping[str, float], runs: int) -> None:
    """CPU of each process for one run."""
    parts = ", ".join(f"{name} {seconds / runs * 1e3:.2f}" for name, seconds in spent.items())
    line(f"    CPU ms a run: {parts}; together {sum(spent.values()) / runs * 1e3:.2f}")


def idle_cpu(spent: Mapping[str, float], seconds: float) -> None:
    """CPU of each process as a share of one core."""
    parts = ", ".join(f"{name} {100 * used / seconds:.2f}" for name, used in spent.items())
    line(f"    CPU, % of a core: {parts}; together {100 * sum(spent.values()) / seconds:.2f}")


def memory(pids: Iterable[tuple[str, int]]) -> None:
    """Memory of each process: all of it, and with what is shared counted in parts."""
    sizes = [(name, *memory_mb(pid)) for name, pid in pids]
    parts = ", ".join(f"{name} {rss:.0f}/{pss:.0f}" for name, rss, pss in sizes)
    total = sum(pss for _, _, pss in sizes)
    line(f"    memory MB, RSS/PSS: {parts}; PSS together {total:.0f}")


def spread(what: str, seconds: Sequence[float]) -> None:
    """Percentiles in milliseconds."""
    ordered = sorted(seconds)
    parts = ", ".join(f"p{share:g} {1e3 * percentile(ordered, share):.1f}" for share in (50, 99, 99.9))
    line(f"{what}, ms: {parts}, longest {1e3 * ordered[-1]:.1f} ({len(ordered):,} samples)")


def percentile(ordered: Sequence[float], share: float) -> float:
    """The smallest value that at least ``share`` per cent of them do not exceed."""
    place = -(-len(ordered) * share // 100)
    return ordered[max(int(place) - 1, 0)]
