"""Compare a benchmark between two checkouts: ``python -m benchmarks.compare --before FOLDER MODULE [ARG ...]``.

Runs ``python -m MODULE ARG ...`` in the other checkout and in this one in turn, each with the .venv of its own folder,
so that a machine that becomes slower meanwhile slows both. Lines that say the same but for their figures belong
together; of each figure the medians of both sides are printed, and the ratio after/before of the pairs: its median,
least and most.
"""

from __future__ import annotations

import argparse
import os
import re
import statistics
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Mapping
from pathlib import Path

HERE = Path(__file__).parents[1]
FIGURE = re.compile(r"(?<![\w.])\d+(?:[ ,]\d{3})*(?:\.\d+)?(?![\w.])")
Figures = Mapping[tuple[str, int], list[float]]
"""Words of a line and how often they occurred before it -> the figures in that line."""


def figures_of(output: str) -> Figures:
    """Return the figures of each line that has any; headings, which begin with ``#``, have none."""
    found: dict[tuple[str, int], list[float]] = {}
    seen: Counter[str] = Counter()
    for line in output.splitlines():
        figures = [float(text.replace(" ", "").replace(",", "")) for text in FIGURE.findall(line)]
        if figures and not line.startswith("# "):
            words = " ".join(FIGURE.sub("…", line).split())
            found[words, seen[words]] = figures
            seen[words] += 1
    return found


def measured(folder: Path, arguments: list[str]) -> Figures:
    """Run the benchmark once in a checkout; raises ``SystemExit`` with its errors when it fails."""
    python = folder / ".venv" / "bin" / "python"
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        [python, "-m", *arguments], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(f"python -m {' '.join(arguments)} failed in {folder}:\n{done.stderr or done.stdout}")
    return figures_of(done.stdout)


def rows(before: list[Figures], after: list[Figures]) -> list[str]:
    """Return a line for each figure that every run of both sides printed."""
    values: dict[tuple[str, int], list[tuple[list[float], list[float]]]] = defaultdict(list)
    for old, new in zip(before, after, strict=True):
        for label in old:
            if label in new:
                values[label].append((old[label], new[label]))
    lines = []
    for label, pairs in values.items():
        if len(pairs) != len(before):
            continue
        lines.append(label[0])
        for column in range(min(len(side) for pair in pairs for side in pair)):
            olds, news = [pair[0][column] for pair in pairs], [pair[1][column] for pair in pairs]
            if all(olds) and (ratios := sorted(b / a for a, b in zip(olds, news, strict=True))):
                lines.append(
                    f"    {statistics.median(olds):12g} {statistics.median(news):12g}   "
                    f"{statistics.median(ratios):.3f} ({ratios[0]:.3f} - {ratios[-1]:.3f})"
                )
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(prog="benchmarks.compare", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--before", type=Path, required=True, help="a checkout of the other commit, set up")
    parser.add_argument("--pairs", type=int, default=5, help="how often each side runs (5)")
    parser.add_argument("module", help="benchmarks.workflow or benchmarks.store")
    parser.add_argument("arguments", nargs=argparse.REMAINDER, help="what the module is given")
    options = parser.parse_args()
    command = [options.module, *options.arguments]
    before: list[Figures] = []
    after: list[Figures] = []
    for number in range(options.pairs):
        before.append(measured(options.before.resolve(), command))
        after.append(measured(HERE, command))
        print(f"# pair {number + 1} of {options.pairs}", file=sys.stderr, flush=True)
    print(f"# python -m {' '.join(command)}: {options.pairs} pairs; before, after, after/before (least - most)")
    print("\n".join(rows(before, after)))


if __name__ == "__main__":
    main()
