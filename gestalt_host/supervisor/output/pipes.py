"""Reading stdout and stderr of provider processes into the host's log (decision 37).

The host reads as fast as a process writes and drops what is too much, so that no process waits for the host's log. It
does so on its event loop, a bounded amount at a time and with a pause in between, so that a flood delays nothing else.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Mapping
from contextlib import suppress

import structlog

from gestalt_host.config.model import OutputLimits
from gestalt_host.supervisor.output.lines import LINE_OVERHEAD_BYTES, Budget, LineSplitter, log_line
from gestalt_host.supervisor.output.recent import Ended, LeftOut, Line, RecentOutput
from gestalt_sdk.common.printable import printable
from gestalt_sdk.serving.logs import write_line

READ_BYTES = 4 * 1024
"""Read at once while lines are written: it bounds what one turn of the event loop has to do."""
SKIP_BYTES = 64 * 1024
"""Read at once while everything, or the end of a long line, is dropped: as much as a pipe holds."""
READ_PAUSE_S = 0.001
DROP_FOR_S = 1.0
"""Once the budget is used up everything is dropped for so long, so that the log says it once and not for each line."""
LAST_READS = 256
"""Reads of an ended process's pipe: more than a pipe holds, and an end for one that a descendant goes on filling."""
TAIL_BYTES = 4 * 1024
TAIL_LINES = 10
TAIL_LINE_CHARS = 500
STREAMS = ("stdout", "stderr")

log = structlog.get_logger()


class ProviderOutput:
    """What the processes of one provider write, one process after the other."""

    def __init__(
        self,
        name: str,
        kind: str,
        limits: OutputLimits | None = None,
        write: Callable[[Mapping[str, object]], bool] = write_line,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Take whose it is.

        Args:
            write: Writes a line to the log; false when it has no room.
        """
        self.limits = limits or OutputLimits()
        self.dropped_lines = self.dropped_bytes = 0
        """What is not in the log, since the host was started; the ends of lines that were cut count as bytes alone."""
        self.is_dropping = False
        self.recent = RecentOutput()
        """The last of what is in the log, as it was written, with the beginnings and ends of processes."""
        self._name, self._kind = name, kind
        self._write = write
        self._budget = Budget(self.limits.bytes_per_second, self.limits.burst_bytes, clock)
        self._notice: asyncio.TimerHandle | None = None
        self._said_lines = self._said_bytes = 0
        self._tails = dict.fromkeys(STREAMS, b"")

    def begin(self) -> ProcessOutput:
        """Open the pipes of a new process.

        Raises:
            OSError: there are no more descriptors.
        """
        self._tails = dict.fromkeys(STREAMS, b"")
        return ProcessOutput(self)

    @property
    def last_lines(self) -> list[str]:
        """The last lines of the latest process, printable: of stderr, or of stdout when there is nothing on stderr."""
        tail = self._tails["stderr"].strip() or self._tails["stdout"].strip()
        texts = tail.decode("utf-8", "replace").replace("\r", "\n").split("\n")
        return [printable(text)[:TAIL_LINE_CHARS] for text in texts if text.strip()][-TAIL_LINES:]

    def received(self, stream: str, lines: LineSplitter, data: bytes) -> None:
        """Write the lines that end in ``data``, as far as the budget goes."""
        self._tails[stream] = (self._tails[stream] + data)[-TAIL_BYTES:]
        if self.is_dropping:
            self._count_dropped(*lines.skip(data))
        else:
            for line, is_cut in lines.feed(data):
                self.take(stream, line, is_cut)
        if lines.cut_bytes:
            self._count_dropped(0, lines.cut_bytes)
            lines.cut_bytes = 0

    def take(self, stream: str, line: bytes, is_cut: bool = False) -> None:
        """Write one line, or drop it and what follows in the next moment."""
        if not self.is_dropping and self._budget.take(len(line) + LINE_OVERHEAD_BYTES):
            cut_at = len(line) if is_cut else 0
            # Whatever a line is like, the reading goes on: a pipe that nobody reads would stop the process.
            with suppress(Exception):
                if self._write(log_line(self._name, self._kind, stream, line, cut_at)):
                    self.recent.add(Line(stream, line, is_cut))
                    return
        self.is_dropping = True
        self._count_dropped(1, len(line))

    def say_dropped(self) -> None:
        """Log what was dropped since it was last said, and write lines again."""
        self.is_dropping = False
        if self._notice is not None:
            self._notice.cancel()
            self._notice = None
        lines, size = self.dropped_lines - self._said_lines, self.dropped_bytes - self._said_bytes
        self._said_lines, self._said_bytes = self.dropped_lines, self.dropped_bytes
        if lines:
            self.recent.add(LeftOut(lines))
        if lines or size:
            log.warning(
                "output of a provider was dropped",
                event_name="provider.output_dropped",
                provider=self._name,
                kind=self._kind,
                lines=lines,
                bytes=size,
            )

    def _count_dropped(self, lines: int, size: int) -> None:
        self.dropped_lines += lines
        self.dropped_bytes += size
        if self._notice is None:
            self._notice = asyncio.get_running_loop().call_later(DROP_FOR_S, self.say_dropped)


class ProcessOutput:
    """The pipes of one process: two descriptors in the host for as long as it runs."""

    def __init__(self, output: ProviderOutput) -> None:
        self._output = output
        self._writers: list[int] = []
        self._readers: list[_Reader] = []
        try:
            for stream in STREAMS:
                reader, writer = os.pipe()
                self._writers.append(writer)
                self._readers.append(_Reader(reader, stream, output))
        except OSError:
            self.close_writers()
            self.end()
            raise

    @property
    def writers(self) -> tuple[int, int]:
        """What is to be the process's stdout and stderr."""
        return self._writers[0], self._writers[1]

    def started(self, pid: int) -> None:
        """Begin to read what the process with this number writes."""
        self._output.recent.started(pid)
        for reader in self._readers:
            reader.start()

    def close_writers(self) -> None:
        """Close the ends that the process has been given, or never will be."""
        while self._writers:
            os.close(self._writers.pop())

    def end(self, how: str = "") -> None:
        """Write what the ended process has left and close, also when one that it started holds the other ends.

        Args:
            how: It ended; blank when there never was a process.
        """
        for reader in self._readers:
            reader.read_rest()
        self._readers = []
        self._output.say_dropped()
        if how:
            self._output.recent.add(Ended(how))


class _Reader:
    """The reading end of one pipe."""

    def __init__(self, descriptor: int, stream: str, output: ProviderOutput) -> None:
        self._descriptor, self._stream, self._output = descriptor, stream, output
        self._lines = LineSplitter(output.limits.line_bytes)
        self._pause: asyncio.TimerHandle | None = None
        self._loop = asyncio.get_running_loop()
        os.set_blocking(descriptor, False)

    def start(self) -> None:
        """Read whenever there is something to read."""
        self._loop.add_reader(self._descriptor, self._readable)

    def read_rest(self) -> None:
        """Read what is there, as far as it has an end, and close."""
        for _ in range(LAST_READS):
            if not self._read():
                break
        self._close()

    def _readable(self) -> None:
        self._loop.remove_reader(self._descriptor)
        self._read()
        if self._descriptor >= 0:
            self._pause = self._loop.call_later(READ_PAUSE_S, self._loop.add_reader, self._descriptor, self._readable)

    def _read(self) -> bool:
        """Read once; return whether there was anything. At its end the pipe is closed."""
        if self._descriptor < 0:
            return False
        is_skipping = self._output.is_dropping or self._lines.is_cut
        try:
            data = os.read(self._descriptor, SKIP_BYTES if is_skipping else READ_BYTES)
        except BlockingIOError:
            return False
        if not data:
            self._close()
            return False
        self._output.received(self._stream, self._lines, data)
        return True

    def _close(self) -> None:
        if self._descriptor < 0:
            return
        if self._pause is not None:
            self._pause.cancel()
        self._loop.remove_reader(self._descriptor)
        os.close(self._descriptor)
        self._descriptor = -1
        last = self._lines.finish()
        if last:
            self._output.take(self._stream, last)
