"""Replay one seed with its trace, or look for failing ones: ``python -m tests.simulation SEED [LAST]``."""

from __future__ import annotations

import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "providers" / "indexeddb"))

from tests.simulation.simulate import simulate


def main(arguments: list[str]) -> int:
    if not 1 <= len(arguments) <= 2 or not all(argument.isdecimal() for argument in arguments):
        print("usage: python -m tests.simulation SEED [LAST]: one seed with its trace, or all until LAST in short")
        return 2
    first, last = int(arguments[0]), int(arguments[-1])
    failed = 0
    began = time.perf_counter()
    for seed in range(first, last + 1):
        report = simulate(seed)
        if len(arguments) == 1:
            print(report.plan)
            print(*report.trace, sep="\n")
        failed += bool(report.violations)
        if report.violations:
            print(report)
    took = time.perf_counter() - began
    print(f"{last - first + 1} seeds, {failed} failed, {took:.1f} s")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
