"""How long to wait before a provider that ended is started again."""

from __future__ import annotations

import random

INITIAL_S = 0.1
CAP_S = 30.0
STABLE_AFTER_S = 30.0


class Backoff:
    """Doubles from ``INITIAL_S`` to ``CAP_S``, each wait cut by up to a half at random so that restarts spread."""

    def __init__(self, initial_s: float = INITIAL_S, cap_s: float = CAP_S) -> None:
        self._initial_s = initial_s
        self._cap_s = cap_s
        self._next_s = initial_s

    def next_wait_s(self) -> float:
        wait_s = self._next_s
        self._next_s = min(wait_s * 2, self._cap_s)
        return wait_s * random.uniform(0.5, 1.0)

    def reset(self) -> None:
        self._next_s = self._initial_s
