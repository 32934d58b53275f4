"""An event loop without a real clock, and processes inside it that can be killed and suspended.

Time stands still while anything is ready and then jumps to the next timer, so a day costs what happens in it. Every
callback belongs to the process in whose context it was made: callbacks of a killed process are not run any more, as by
SIGKILL, not even a ``finally``; those of a suspended one are kept back until it is resumed, as by SIGSTOP.
"""

from __future__ import annotations

import asyncio
import heapq
from collections import deque
from collections.abc import Coroutine
from contextvars import Context, ContextVar, copy_context
from typing import Any, TypeVar

T = TypeVar("T")

SPINS = 50_000
"""So many callbacks at one moment mean that something turns round without waiting."""


class Spinning(Exception):
    """Something never waits."""


class Process:
    """What can be killed or suspended as a whole; everything spawned in it belongs to it."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.dead = False
        self.paused = False
        self.backlog: deque[asyncio.Handle] = deque()

    def spawn(self, work: Coroutine[Any, Any, T], name: str = "") -> asyncio.Task[T]:
        context = copy_context()
        context.run(PROCESS.set, self)
        return asyncio.get_running_loop().create_task(work, name=f"{self.name}: {name}", context=context)


PROCESS: ContextVar[Process | None] = ContextVar("process", default=None)
"""The process whose code is running; None for clients, the network, the store and the host."""

NOWHERE = Context()
"""Context of what belongs to no process: messages on their way, the store, the host."""


class VirtualLoop(asyncio.BaseEventLoop):
    """Only timers and callbacks: there are no files, sockets, signals or threads."""

    _ready: deque[asyncio.Handle]
    _scheduled: list[asyncio.TimerHandle]

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.callbacks = 0
        self._spins = 0
        self._unfinished: dict[asyncio.Task[Any], None] = {}
        """Keeps the tasks of killed processes from being collected, which would run their ``finally``."""

    def time(self) -> float:
        return self.now

    def create_task(self, coro: Any, *, name: object = None, context: Context | None = None) -> asyncio.Task[Any]:
        task: asyncio.Task[Any] = asyncio.Task(
            coro, loop=self, name=None if name is None else str(name), context=context
        )
        self._unfinished[task] = None
        task.add_done_callback(self._finished, context=NOWHERE)
        return task

    def _finished(self, task: asyncio.Task[Any]) -> None:
        self._unfinished.pop(task, None)

    def resume(self, process: Process) -> None:
        """Let a suspended process go on, with everything that has come up for it meanwhile."""
        process.paused = False
        self._ready.extend(process.backlog)
        process.backlog.clear()

    def _run_once(self) -> None:
        ready, timers = self._ready, self._scheduled
        if not ready and not self._stopping:  # type: ignore[attr-defined]
            while timers and timers[0]._cancelled:
                heapq.heappop(timers)._scheduled = False  # type: ignore[attr-defined]
            if not timers:
                raise Spinning("nothing is left that could happen, yet somebody waits")
            if timers[0].when() > self.now:
                self.now, self._spins = timers[0].when(), 0
        while timers and timers[0].when() <= self.now:
            handle = heapq.heappop(timers)
            handle._scheduled = False  # type: ignore[attr-defined]
            ready.append(handle)
        self._spins += len(ready)
        if self._spins > SPINS:
            raise Spinning(f"{self._spins} callbacks at one moment, {self.now:.3f} s")
        for _ in range(len(ready)):
            handle_now = ready.popleft()
            if handle_now._cancelled:
                continue
            process = handle_now._context.get(PROCESS)  # type: ignore[attr-defined]
            if process is not None and (process.dead or process.paused):
                process.backlog.append(handle_now)
                continue
            self.callbacks += 1
            handle_now._run()

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        """Cancelled timers leave the heap when they reach its head."""

    def _process_events(self, events: object) -> None:
        """There is no input or output."""

    def _write_to_self(self) -> None:
        """There is no other thread to be woken from."""

    def end(self) -> None:
        """Cancel what still runs until nothing does; then close. Processes have to be resumed before."""
        for _ in range(500):
            self._spins = 0
            tasks = [task for task in self._unfinished if not task.done()]
            if not tasks:
                break
            for task in tasks:
                task.cancel()
            self.call_soon(self.stop)
            self.run_forever()
        self.close()
