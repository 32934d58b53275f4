"""What two runs of a benchmark print is laid side by side, figure by figure."""

from __future__ import annotations

from benchmarks.compare import figures_of, rows


def test_lines_that_differ_in_their_figures_alone_belong_together() -> None:
    assert figures_of("# 2 CPUs\nengine   1 000 runs/s, 2.5 ms\nengine 2 000 runs/s, 3 ms\nnothing here") == {
        ("engine … runs/s, … ms", 0): [1000.0, 2.5],
        ("engine … runs/s, … ms", 1): [2000.0, 3.0],
    }


def test_ratios_are_taken_pair_by_pair() -> None:
    before = [figures_of("engine 100 runs/s"), figures_of("engine 200 runs/s"), figures_of("engine 400 runs/s")]
    after = [figures_of("engine 110 runs/s"), figures_of("engine 200 runs/s"), figures_of("engine 200 runs/s")]
    assert rows(before, after) == ["engine … runs/s", "             200          200   1.000 (0.500 - 1.100)"]


def test_a_line_that_one_side_lacks_is_left_out() -> None:
    assert rows([figures_of("engine 1\nold 2")], [figures_of("engine 1\nnew 2")]) == [
        "engine …",
        "               1            1   1.000 (1.000 - 1.000)",
    ]
