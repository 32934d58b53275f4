"""The state of one provider's process: since when, why, and in which words people are told."""

from __future__ import annotations

import asyncio
import contextlib
import math
import time
from datetime import UTC, datetime
from enum import Enum

from gestalt_host.errors import could_not_start, reason_of
from gestalt_host.supervisor.errors import FilesChanged
from gestalt_host.supervisor.reports import Fault
from gestalt_host.supervisor.spec import Timings

LOOP_AFTER = 3
"""A provider that has ended so many times without having been stable, or could not be started, is in a crash loop."""


class State(Enum):
    NEW = "new"
    STARTING = "starting"
    READY = "ready"
    SILENT = "silent"
    """It runs, but does not answer."""
    RESTARTING = "restarting"
    FAILED = "failed"
    STOPPED = "stopped"


class Condition:
    """How one provider's process is, and how it came to be so. Times on the wall are UTC, in ``since`` and faults."""

    def __init__(self, timings: Timings) -> None:
        """Begin with a process that is not started."""
        self.state = State.NEW
        self.since = datetime.now(UTC)
        """When it came into its state."""
        self.last_error = ""
        """Why it is not ready, with the provider's own text, for the log; blank when it is."""
        self.last_fault: Fault | None = None
        """Why it was last not as it should be, in words of this host; it stays when the process is well again."""
        self.restarts = 0
        """Starts after the first one."""
        self.failures = 0
        """Ends and failed starts since the process was last stable."""
        self.is_stopping = False
        """Whether it is told to end, and nothing is started again."""
        self._timings = timings
        self._began_at = self._again_at = 0.0
        self._silent_s = 0.0
        self._ended_because = self._failed_because = self._refused_because = ""
        self._changed = asyncio.Event()

    def starting(self) -> None:
        """Note that the first start begins."""
        self._began_at = time.monotonic()
        self._become(State.STARTING)

    def ready(self) -> None:
        """Note that the process can be called."""
        self._refused_because = ""
        self._become(State.READY)

    def failed(self, error: BaseException) -> None:
        """Note that the first start failed, which is final."""
        self._failed_because = reason_of(error)
        self._become(State.FAILED, str(error), could_not_start(self._failed_because))

    def silent(self, silent_s: float) -> bool:
        """Note for how long the process has not answered; return whether it was ready until now."""
        self._silent_s = silent_s
        if self.state is not State.READY:
            return False
        self._become(State.SILENT, "it does not answer", "it did not answer")
        return True

    def ended(self, how: str, because: str) -> None:
        """Note that the process has ended; it is going to be started again.

        Args:
            how: Such as ``signal SIGKILL``.
            because: Why this host has ended it; blank when it did not.
        """
        self.failures += 1
        self._ended_because = f" ({because})" if because else ""
        reason = because or f"process ended ({how})"
        self._become(State.RESTARTING, reason, reason)

    def reloading(self) -> None:
        """Note that the process is started again because this host was told to, which is no failure."""
        self._refused_because, self._ended_because = "", " (it is reloaded)"
        self.failures, self._again_at = 0, 0.0
        self._become(State.RESTARTING, "it is reloaded")

    def not_restarted(self, error: Exception) -> None:
        """Note that a later start failed; it is going to be tried again."""
        self._refused_because = error.reason if isinstance(error, FilesChanged) else ""
        self._ended_because = ""
        self.failures += 1
        self._become(State.RESTARTING, str(error), could_not_start(reason_of(error)))

    def again_in(self, wait_s: float) -> None:
        """Note when the next start begins."""
        self._again_at = time.monotonic() + wait_s

    def stopped(self) -> None:
        """Note that the process was told to end."""
        self._become(State.STOPPED)

    def fault(self, text: str) -> None:
        """Note what was not as it should be although the state is the same; the text is this host's."""
        self.last_fault = Fault(text, datetime.now(UTC))

    @property
    def silent_s(self) -> float:
        """For how long the process has not answered, or had not when it did again."""
        return self._silent_s

    @property
    def absence(self) -> str:
        """Why the provider cannot be called now and when that may change, to be put after its name; blank when it can.

        Nothing of it is the provider's own text, which is for the log alone.
        """
        now = time.monotonic()
        match self.state:
            case State.NEW | State.STARTING:
                return f"it is still starting, for {now - self._began_at:.0f} s" if self._began_at else "it starts soon"
            case State.SILENT:
                left_s = max(0.0, self._timings.restart_silent_after_s - self._silent_s)
                then = "" if math.isinf(left_s) else f" and is started again in {left_s:.0f} s"
                return f"it has not answered for {self._silent_s:.0f} s{then}"
            case State.RESTARTING if self._refused_because:
                return f"it has ended{self._ended_because} and cannot be started again: {self._refused_because}"
            case State.RESTARTING if now < self._again_at:
                then = f"is started again in {self._again_at - now:.1f} s"
                return f"it has ended{self._ended_because} and {then}{self._loop}"
            case State.RESTARTING:
                return f"it has ended{self._ended_because} and is being started again{self._loop}"
            case State.FAILED:
                return could_not_start(self._failed_because)
            case State.STOPPED:
                return "it was stopped"
        return ""

    @property
    def is_looping(self) -> bool:
        """Whether it keeps ending, or not starting: nobody should wait for it."""
        return self.state is State.RESTARTING and self.failures >= LOOP_AFTER

    @property
    def _loop(self) -> str:
        return f"; it has failed {self.failures} times in a row" if self.is_looping else ""

    @property
    def patience_s(self) -> float:
        """How long the process is worth waiting for, as far as is known now; a first start only so long."""
        if self.state is State.SILENT or self.failures >= LOOP_AFTER:
            return 0.0
        if self.state is State.STARTING:
            return self._began_at + self._timings.slow_start_s - time.monotonic()
        return math.inf

    async def changed(self, within_s: float) -> None:
        """Return when the state changes, or after that time."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                await self._changed.wait()

    def _become(self, state: State, error: str = "", fault: str = "") -> None:
        """Change the state, and wake everybody who waits for a change."""
        self.state, self.last_error, self.since = state, error, datetime.now(UTC)
        if fault:
            self.fault(fault)
        self._changed.set()
        self._changed = asyncio.Event()
