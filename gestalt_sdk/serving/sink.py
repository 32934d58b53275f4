"""Write lines to a descriptor without ever failing or delaying whoever has something to say.

A pipe may be full, its reader gone, the disk full, a terminal stopped with Ctrl-S. So a thread of its own writes, from
a queue that is bounded in bytes. What finds no place there, or cannot be written, is dropped and counted, and the next
line that can be written is preceded by one that says how many are missing.
"""

from __future__ import annotations

import atexit
import os
import select
import stat
import threading
from collections import deque
from collections.abc import Callable

QUEUE_BYTES = 4 * 1024 * 1024
PIPE_BYTES = select.PIPE_BUF
"""Several processes write to one pipe. Up to this size a write is atomic, so that no line is torn by another's."""
FILE_BYTES = 64 * 1024
EXIT_FLUSH_S = 0.5
"""Seconds that the end of a process waits for lines that are not written yet."""
_POLL_MS = 1000


class LineSink:
    """Takes lines from any thread and writes them to ``descriptor``, which stays open and blocking or not as it is."""

    def __init__(self, descriptor: int, notice: Callable[[int], str], queue_bytes: int = QUEUE_BYTES) -> None:
        """Take where to write; the thread begins with the first line.

        Args:
            descriptor: -1 where there is none: every line is dropped and counted.
            notice: Makes the line that says how many lines were dropped.
            queue_bytes: What waits at most to be written.
        """
        self._descriptor = descriptor
        self._notice = notice
        self._queue_bytes = queue_bytes
        # Reentrant: a finaliser or a signal handler that runs in the middle of ``write`` may write too.
        self._lock = threading.RLock()
        self._filled = threading.Condition(self._lock)
        self._emptied = threading.Condition(self._lock)
        self._lines: deque[bytes] = deque()
        self._size = 0
        self._writing = False
        self._thread: threading.Thread | None = None
        self._dropped = 0
        self._unreported = 0
        self._torn = False
        self._batch_bytes = _batch_bytes(descriptor)

    @property
    def dropped(self) -> int:
        """How many lines were dropped since the process began."""
        return self._dropped

    def write(self, line: str) -> None:
        """Queue the line, which has no line end, or drop it; return at once."""
        data = line.encode("utf-8", "backslashreplace") + b"\n"
        with self._lock:
            if self._size + len(data) > self._queue_bytes or not self._has_thread():
                self._drop(1)
                return
            self._lines.append(data)
            self._size += len(data)
            if not self._writing:
                self._filled.notify()

    def offer(self, line: str) -> bool:
        """Queue the line if less than half of the queue is in use; return whether it was, else it does not count.

        For lines of somebody else, who may have very many: the other half is for the process's own.
        """
        with self._lock:
            if self._size >= self._queue_bytes // 2:
                return False
            self.write(line)
            return True

    def drop(self) -> None:
        """Count a line that could not even be made."""
        with self._lock:
            self._drop(1)

    def flush(self, within_s: float = EXIT_FLUSH_S) -> bool:
        """Wait until every line is written or dropped; return False when that takes longer."""
        with self._lock:
            return self._emptied.wait_for(lambda: not self._lines and not self._writing, within_s)

    def _drop(self, count: int) -> None:
        self._dropped += count
        self._unreported += count

    def _has_thread(self) -> bool:
        if self._thread is None:
            thread = threading.Thread(target=self._serve, name=f"lines to {self._descriptor}", daemon=True)
            try:
                thread.start()
            except RuntimeError:  # the system gives no more threads, or the interpreter ends
                return False
            self._thread = thread
            atexit.register(self.flush)
        return True

    def _serve(self) -> None:
        while True:
            with self._lock:
                while not self._lines:
                    self._writing = False
                    self._emptied.notify_all()
                    self._filled.wait()
                self._writing = True
                batch, missing = self._take_batch(), self._unreported
            reported, lost = self._deliver(batch, missing)
            with self._lock:
                self._unreported -= reported
                self._drop(lost)

    def _take_batch(self) -> bytes:
        taken = [self._lines.popleft()]
        size = len(taken[0])
        while self._lines and size + len(self._lines[0]) <= self._batch_bytes:
            taken.append(self._lines.popleft())
            size += len(taken[-1])
        self._size -= size
        return b"".join(taken)

    def _deliver(self, batch: bytes, missing: int) -> tuple[int, int]:
        """Write the batch; return how many of the missing lines were reported, and how many of the batch are lost."""
        reported = 0
        if missing:
            notice = self._notice(missing).encode("utf-8", "backslashreplace") + b"\n"
            if self._put(notice) < len(notice):
                return 0, batch.count(b"\n")
            reported = missing
        return reported, batch.count(b"\n", self._put(batch))

    def _put(self, data: bytes) -> int:
        """Write; return how many bytes of it were written before it failed, all when it did not."""
        done = 0
        try:
            if self._torn:
                os.write(self._descriptor, b"\n")
                self._torn = False
            while done < len(data):
                try:
                    done += os.write(self._descriptor, data[done:])
                except BlockingIOError:  # somebody who shares the descriptor has made it non-blocking
                    _wait_writable(self._descriptor)
        except OSError:
            self._torn = self._torn or (done > 0 and data[done - 1 : done] != b"\n")
        return done


def _batch_bytes(descriptor: int) -> int:
    try:
        return PIPE_BYTES if stat.S_ISFIFO(os.fstat(descriptor).st_mode) else FILE_BYTES
    except OSError:
        return FILE_BYTES


def _wait_writable(descriptor: int) -> None:
    waiting = select.poll()
    waiting.register(descriptor, select.POLLOUT)
    waiting.poll(_POLL_MS)
