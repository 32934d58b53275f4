"""Look at the beats of a process from a thread of its own, which nothing that the event loop does can hold up."""

from __future__ import annotations

import asyncio
import math
import os
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress

import structlog

from gestalt_sdk.common.beats import Beat, Beats
from gestalt_sdk.serving.blockage import Blockage
from gestalt_sdk.serving.streams import flush_logs

EVENT_LOOP = "event loop"
EVENT_LOOP_SILENT_AFTER_S = 5.0
"""For so long the event loop may do one thing, while all calls of the process wait, before the log says what it is."""
LOOK_EVERY_S = 1.0
HUNG_STATUS = 70
"""Exit status of a process that ended itself because one of its loops was hung."""

log = structlog.get_logger()


class Watchdog:
    """Logs once when a loop falls silent and once when it moves again, and tells of one that is hung.

    Of the event loop it logs what holds it. It says so too when the whole process, this thread included, did nothing
    for as long: it was stopped, or code that keeps the interpreter's lock ran.
    """

    def __init__(
        self,
        beats: Beats,
        on_hung: Callable[[Beat], None] | None = None,
        *,
        event_loop_hung_after_s: float = math.inf,
        every_s: float = LOOK_EVERY_S,
        under_way: Mapping[asyncio.Task[object], str] | None = None,
    ) -> None:
        """Begin to look. To be called on the event loop, which beats from now on like the loops that it runs.

        Args:
            on_hung: Called in the thread, for each look that finds a loop hung.
            event_loop_hung_after_s: How long the event loop may do nothing but one thing.
            under_way: Which operation each task executes at the moment; to be named when the event loop is silent.
        """
        self._beats = beats
        self._on_hung = on_hung
        self._every_s = every_s
        self._under_way = {} if under_way is None else under_way
        self._silent: dict[Beat, float] = {}
        """Silent loops, and since when."""
        self._looked = time.monotonic()
        self._thread_id = threading.get_ident()
        self._loop = asyncio.get_running_loop()
        self._event_loop = beats.add(
            EVENT_LOOP, min(EVENT_LOOP_SILENT_AFTER_S, event_loop_hung_after_s), event_loop_hung_after_s
        )
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="watchdog", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Look no more; loops may end now."""
        self._stopped.set()
        self._beats.remove(self._event_loop)

    def _watch(self) -> None:
        while not self._stopped.wait(self._every_s):
            with suppress(Exception):  # this is what watches the others: nothing may end it
                self._look()

    def _look(self) -> None:
        self._loop.call_soon_threadsafe(self._event_loop.beat)
        now = time.monotonic()
        self._notice_standstill(now - self._looked - self._every_s)
        self._looked = now
        silent = {beat: self._silent.get(beat, now - beat.quiet_s) for beat in self._beats.look()}
        for beat in silent.keys() - self._silent.keys():
            self._say_silent(beat)
        for beat in self._silent.keys() - silent.keys():
            seconds = round(now - self._silent[beat])
            log.warning(
                "loop %r moves again after %d s",
                beat.name,
                seconds,
                event_name="loop.moves",
                loop=beat.name,
                seconds=seconds,
            )
        self._silent = silent
        hung = next((beat for beat in silent if beat.hung), None)
        if hung is not None and self._on_hung is not None and not self._stopped.is_set():
            self._on_hung(hung)

    def _say_silent(self, beat: Beat) -> None:
        if beat is not self._event_loop:
            log.error(beat.describe(), event_name="loop.silent", loop=beat.name)
            return
        found = self._blockage()
        log.error(
            "%s, and all calls of this process wait: %s",
            beat.describe(),
            found.describe(),
            event_name="loop.silent",
            loop=beat.name,
            **found.fields(),
        )

    def _notice_standstill(self, seconds: float) -> None:
        if seconds > EVENT_LOOP_SILENT_AFTER_S:
            found = self._blockage()
            log.warning(
                "the process stood still for %.0f s: it was stopped, or code kept the interpreter's lock; now: %s",
                seconds,
                found.describe(),
                event_name="process.stood_still",
                seconds=round(seconds),
                **found.fields(),
            )

    def _blockage(self) -> Blockage:
        return Blockage(self._loop, self._thread_id, self._under_way)


def end_process(beat: Beat) -> None:
    """End this process at once, with one line that says why; whoever started it starts another one."""
    with suppress(Exception):
        log.critical("the process ends: %s", beat.describe(), event_name="loop.hung", loop=beat.name)
        flush_logs()
    os._exit(HUNG_STATUS)
