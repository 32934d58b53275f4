"""How much is measured: the figures' own sizes, and tiny ones that only show that every section still runs."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Sizes:
    """
    Attributes:
        runs: Stored pending runs that are executed.
        history: Finished runs in the store beforehand.
        repeats: How often a figure with history is taken beside one without, in turn; the median counts.
        published: Events that are published over HTTP for one figure.
        schedules: For each of these numbers of schedules, lateness.
        due_per_s: Schedules that are due in a second.
        window_s: How long lateness, publishing and the open load are measured.
        same_minute: Schedules that are due at the same instant.
        standing: Schedules in the store while it idles and when it starts.
        idle_s: How long nothing happens.
        triggers: Event triggers in the store.
        kind_runs: Runs of each kind whose cost is counted.
        accept_per_s: Events a second of the open load.
        echo_s: How long each echo is measured.
    """

    runs: int = 10_000
    history: int = 10_000
    repeats: int = 3
    published: int = 3_000
    schedules: tuple[int, ...] = (1_000, 10_000, 100_000)
    due_per_s: int = 100
    window_s: float = 30.0
    same_minute: int = 10_000
    standing: int = 100_000
    idle_s: float = 30.0
    triggers: int = 10_000
    kind_runs: int = 1_000
    accept_per_s: int = 200
    echo_s: float = 2.0


FULL = Sizes()
TINY = Sizes(
    runs=200,
    history=300,
    repeats=1,
    published=100,
    schedules=(100,),
    window_s=1.0,
    same_minute=100,
    standing=200,
    idle_s=1.0,
    triggers=50,
    kind_runs=50,
    accept_per_s=50,
    echo_s=0.2,
)
