"""Tell, from another thread, what holds an event loop: the operation whose task runs, and the lines it is at."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Mapping
from pathlib import Path
from types import FrameType

STACK_LINES = 10
NAMED_OPERATIONS = 20
_MACHINERY = (str(Path(asyncio.__file__).parent), str(Path(__file__).parents[1]))


class Blockage:
    """What an event loop does at this moment, in words for the log: names and places, never values."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, thread_id: int, under_way: Mapping[asyncio.Task[object], str]
    ) -> None:
        """Look at the loop, which runs in the thread ``thread_id``.

        Args:
            under_way: Which operation each task executes.
        """
        task = asyncio.current_task(loop)
        self.operation = under_way.get(task, "") if task is not None else ""
        """The operation that holds the loop; empty where that is not known, as in a task that an operation began."""
        self.under_way = sorted(set(under_way.values()))[:NAMED_OPERATIONS]
        """Names of all operations that have begun and not ended."""
        self.where = stack(sys._current_frames().get(thread_id))

    def fields(self) -> dict[str, str | list[str]]:
        """Return what is known, as fields of a line of the log."""
        found: dict[str, str | list[str]] = {
            "operation": self.operation,
            "under_way": self.under_way,
            "where": self.where,
        }
        return {key: value for key, value in found.items() if value}

    def describe(self) -> str:
        """Say who holds it and where, as far as that is known."""
        words = [f"operation {self.operation!r} holds it"] if self.operation else []
        if not words and self.under_way:
            words.append(f"begun and not ended: {', '.join(self.under_way)}")
        if self.where:
            words.append(f"at {self.where[0]}")
        return " ".join(words)


def stack(frame: FrameType | None) -> list[str]:
    """Return ``file:line function`` of the frames, innermost first; those of asyncio and this SDK are left out.

    Where there are no others, they are shown.
    """
    frames = []
    while frame is not None:
        frames.append((frame.f_code.co_filename, f"{frame.f_code.co_filename}:{frame.f_lineno} {frame.f_code.co_name}"))
        frame = frame.f_back
    own = [place for file, place in frames if not file.startswith(_MACHINERY)]
    return (own or [place for _, place in frames])[:STACK_LINES]
