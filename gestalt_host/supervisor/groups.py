"""Process groups of providers: each ends with its provider, and all of them with the host (see ``group_keeper``)."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from pathlib import Path

import structlog

from gestalt_sdk.common import group_keeper
from gestalt_sdk.common.beats import Beat, Beats
from gestalt_sdk.common.loops import keep_running
from gestalt_sdk.common.process_identity import is_stopped

LAST_S = group_keeper.GRACE_S + 1.0
"""A keeper whose input has ended needs no longer than its grace."""
LOOK_S = 5.0
LOOP = "keeper of process groups"

log = structlog.get_logger()


class ProcessGroups:
    """The groups that are to end with this process. A keeper that ends or is stopped is replaced by another one."""

    def __init__(self, beats: Beats, look_s: float = LOOK_S) -> None:
        """Hold nothing yet.

        Args:
            look_s: How often to look whether the keeper is stopped, in seconds.
        """
        self._beats = beats
        self._look_s = look_s
        self._held: set[int] = set()
        self._input: asyncio.StreamWriter | None = None
        self._loop: asyncio.Task[None] | None = None
        self._has_ended_them = False
        """Whether the last keeper has ended all that was held, as it does at the end of its input."""

    def start(self) -> None:
        """Start the keeper; what is held before it runs is told to it when it does."""
        self._loop = asyncio.create_task(keep_running(LOOP, self._keep, self._beats), name=LOOP)

    def hold(self, leader: int) -> None:
        """Have the group of this process end with the host from now on."""
        self._held.add(leader)
        self._tell(f"+{leader}\n")

    def let_go(self, leader: int) -> None:
        """Forget the group: it has ended, and its number may come to belong to somebody else."""
        self._held.discard(leader)
        self._tell(f"-{leader}\n")

    async def stop(self) -> None:
        """End the keeper, and with it whatever is still held."""
        if self._loop is not None:
            self._loop.cancel()
            await asyncio.gather(self._loop, return_exceptions=True)
            self._loop = None
            if not self._has_ended_them:  # there was no keeper yet, or it was stopped a moment ago
                group_keeper.end_groups(set(self._held), 0)

    async def _keep(self, beat: Beat) -> None:
        self._has_ended_them = False
        keeper = await asyncio.create_subprocess_exec(
            *(sys.executable, "-I", "-S", str(Path(group_keeper.__file__))),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
            env={},
            start_new_session=True,
        )
        self._input = keeper.stdin
        try:
            for leader in self._held:
                self._tell(f"+{leader}\n")
            while keeper.returncode is None:
                beat.rest()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(self._look_s):
                        await keeper.wait()
                beat.beat()
                if is_stopped(keeper.pid):
                    log.warning("keeper is stopped and is replaced", event_name="groups.keeper_stopped", pid=keeper.pid)
                    keeper.kill()
        finally:
            self._input = None
            assert keeper.stdin is not None
            keeper.stdin.close()
            try:
                async with asyncio.timeout(LAST_S):
                    await keeper.wait()
            except TimeoutError:
                keeper.kill()
                await keeper.wait()
            self._has_ended_them = keeper.returncode == 0

    def _tell(self, line: str) -> None:
        if self._input is not None:
            with contextlib.suppress(OSError, RuntimeError):  # a keeper that has just ended: its successor is told
                self._input.write(line.encode())
