"""Whether a running process still answers: asked again and again, named when it does not, and ended in the end."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path

import structlog

from gestalt_host.supervisor.launching.child import Child
from gestalt_host.supervisor.links import CallsUnderWay
from gestalt_host.supervisor.spec import Timings
from gestalt_host.supervisor.state import Condition, State
from gestalt_host.supervisor.watching.greeting import greeted
from gestalt_sdk.common.beats import Beat
from gestalt_sdk.common.process_identity import is_stopped

LONGEST_GLANCE_S = 2.0
"""No more of the time between two looks counts as silence: who was stopped together with the host was not silent."""

log = structlog.get_logger()


class SignsOfLife:
    """Asks one provider's processes, one after the other, and notes in its condition what is found."""

    def __init__(
        self,
        name: str,
        socket: Path,
        timings: Timings,
        condition: Condition,
        calls: CallsUnderWay,
        child: Callable[[], Child | None],
        lack: Callable[[], str],
    ) -> None:
        """Take whom to ask.

        Args:
            calls: Given up when the process is stopped.
            child: The process of this moment.
            lack: What is not as it should be although the provider can be called; logged when it stays so.
        """
        self._name = name
        self._socket = socket
        self._timings = timings
        self._condition = condition
        self._calls = calls
        self._child = child
        self._lack = lack
        self._lacking = 0

    async def listen(self, beat: Beat) -> None:
        """Ask for a sign of life again and again while the process is there."""
        while not self._condition.is_stopping:
            beat.rest()
            await asyncio.sleep(self._timings.ask_every_s)
            beat.beat()
            child = self._child()
            if child is not None and self._condition.state is State.READY and not self._condition.is_stopping:
                self._tell_lack()
                asking = asyncio.ensure_future(greeted(self._socket))
                try:
                    await self._answered(child, asking, beat)
                finally:
                    asking.cancel()
                    await asyncio.gather(asking, return_exceptions=True)

    async def _answered(self, child: Child, asking: asyncio.Future[None], beat: Beat) -> None:
        """Return when the process has answered or ended; one that is silent for too long is ended here."""
        silent_s, looked = 0.0, time.monotonic()
        while child.running and not self._condition.is_stopping:
            await asyncio.wait((asking,), timeout=self._timings.look_s)
            beat.beat()
            # A socket whose file is gone cannot be asked; whether the process was stopped can be seen all the same.
            if asking.done() and not is_stopped(child.pid):
                asking.result()
                self._answers(child)
                return
            now = time.monotonic()
            silent_s += min(now - looked, LONGEST_GLANCE_S)
            looked = now
            if silent_s >= self._timings.silent_after_s and self._child() is child:
                self._silent(child, silent_s)
            if silent_s >= self._timings.restart_silent_after_s and child.running:
                child.end(f"process had not answered for {silent_s:.0f} s and was ended")
                return

    def _tell_lack(self) -> None:
        """Log it when it is found the second time: one that is about to end has no socket either."""
        self._lacking = self._lacking + 1 if self._lack() else 0
        if self._lacking == 2:
            log.warning(
                "socket of a provider has been removed",
                event_name="provider.socket_removed",
                provider=self._name,
                directory=str(self._socket.parent),
            )

    def _silent(self, child: Child, silent_s: float) -> None:
        if self._condition.silent(silent_s):
            log.warning(
                "provider does not answer", event_name="provider.silent", provider=self._name, silent_s=silent_s
            )
        # One that is only too busy for a greeting may still answer what it works on.
        if is_stopped(child.pid):
            self._calls.give_up(self._condition.absence)

    def _answers(self, child: Child) -> None:
        if self._condition.state is State.SILENT and self._child() is child and child.running:
            self._condition.ready()
            log.info(
                "provider answers again",
                event_name="provider.answers",
                provider=self._name,
                silent_s=round(self._condition.silent_s, 1),
            )
