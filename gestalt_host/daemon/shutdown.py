"""How the time of a shutdown is shared out: every stage has a limit, and together they keep to the configured one."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import timedelta

_ALONE_S, _LAST_S, _MARGIN_S = 1.0, 3.0, 1.5
_ALONE_SHARE, _LAST_SHARE, _MARGIN_SHARE = 1 / 15, 1 / 5, 1 / 5
"""Of a shutdown that is shorter than usual, each of the three is no more than this share."""


@dataclass(frozen=True, slots=True)
class ShutdownPlan:
    """Seconds from the signal on.

    Attributes:
        total_s: When everything has ended.
        requests_alone_s: Until then only requests are waited for; most of them have been answered.
        finished_s: When requests and workflow providers have ended; what is left is for plugins and stores.
        margin_s: How much before that they give up what they could not finish, to have it recorded.
    """

    total_s: float
    requests_alone_s: float
    finished_s: float
    margin_s: float

    @classmethod
    def of(cls, total: timedelta) -> ShutdownPlan:
        """Share the time out."""
        total_s = total.total_seconds()
        return cls(
            total_s,
            requests_alone_s=min(_ALONE_S, total_s * _ALONE_SHARE),
            finished_s=total_s - min(_LAST_S, total_s * _LAST_SHARE),
            margin_s=min(_MARGIN_S, total_s * _MARGIN_SHARE),
        )

    @property
    def requests_s(self) -> float:
        """How long a request may go on."""
        return self.finished_s - self.margin_s

    @property
    def workflows_s(self) -> float:
        """How long a workflow provider has between SIGTERM and SIGKILL."""
        return self.finished_s - self.requests_alone_s

    @property
    def drain_s(self) -> float:
        """How long a workflow provider lets its invocations go on."""
        return self.workflows_s - self.margin_s


class Countdown:
    """What is left of a shutdown that begins now."""

    def __init__(self, plan: ShutdownPlan) -> None:
        self.plan = plan
        self._began = time.monotonic()

    def left_s(self, until_s: float) -> float:
        """Return how long it is until that second of the plan, never less than nothing."""
        return max(0.0, self._began + until_s - time.monotonic())
