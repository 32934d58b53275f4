"""The output of a provider's process as lines of the host's log: cut, recognised, labelled, counted."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import orjson

from gestalt_sdk.common.printable import printable
from gestalt_sdk.serving.logs import now

LINE_OVERHEAD_BYTES = 256
"""What a line costs of the budget beside its own bytes: its label in the log, and the work on it."""
_LEVELS = frozenset(("debug", "info", "warning", "error", "critical"))


class LineSplitter:
    """Cuts the bytes of one stream into lines, of which it keeps at most ``limit`` bytes each.

    LF, CR and CR LF end a line, so that a progress bar is one line for each of its states. Empty lines are left out.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._held = b""
        self.is_cut = False
        """Whether the line that is under way has been given out already, as far as its limit."""
        self.cut_bytes = 0
        """How many bytes of lines over the limit were not given out; the owner sets it back."""

    def feed(self, data: bytes) -> Iterator[tuple[bytes, bool]]:
        """Yield each line that ends in ``data``, or reaches the limit; true with it when it was cut there."""
        *ended, rest = data.replace(b"\r", b"\n").split(b"\n")
        for part in ended:
            yield from self._add(part)
            if self._held:
                yield self._held, False
            self._held, self.is_cut = b"", False
        yield from self._add(rest)

    def skip(self, data: bytes) -> tuple[int, int]:
        """Leave out what ``feed`` would yield; return how many lines end in it, and how many bytes it was.

        It looks at no line, so that it costs little however many there are: empty ones count too.
        """
        data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        size, ends, counted = len(self._held) + len(data), data.count(b"\n"), self.cut_bytes
        # A line counts when it is cut or else when it ends.
        lines = ends - (self.is_cut and ends > 0)
        if ends:
            self._held, self.is_cut = b"", False
        lines += sum(1 for _ in self._add(data[data.rfind(b"\n") + 1 :]))
        self.cut_bytes = counted
        return lines, size - len(self._held)

    def finish(self) -> bytes:
        """Return the last line when no line end followed it, empty when there is none."""
        held, self._held, self.is_cut = self._held, b"", False
        return held

    def _add(self, part: bytes) -> Iterator[tuple[bytes, bool]]:
        if self.is_cut:
            self.cut_bytes += len(part)
            return
        self._held += part
        if len(self._held) > self._limit:
            line, self._held, self.is_cut = self._held, b"", True
            self.cut_bytes += len(line) - self._limit
            yield line[: self._limit], True


class Budget:
    """How much may pass: a number of bytes at once, given back at a rate."""

    def __init__(self, bytes_per_second: int, burst_bytes: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._rate, self._burst, self._clock = bytes_per_second, burst_bytes, clock
        self._left = float(burst_bytes)
        self._at = clock()

    def take(self, count: int) -> bool:
        """Take so many bytes, or none when there are not enough."""
        at = self._clock()
        self._left, self._at = min(self._burst, self._left + (at - self._at) * self._rate), at
        if count > self._left:
            return False
        self._left -= count
        return True


def log_line(name: str, kind: str, stream: str, line: bytes, cut_at: int = 0) -> dict[str, Any]:
    """Return the line of the log for a line of a provider's output.

    A line of our SDK's log, known by its form alone, keeps its fields; any other text becomes the event. Either way
    ``process``, ``process_kind`` and ``stream`` are set here, and the host's own lines have no ``stream``: nothing
    that a provider writes can look like a line of the host or of another provider.

    Args:
        cut_at: After how many bytes the line was cut, 0 when it is whole.
    """
    label = {"process": name, "process_kind": kind, "stream": stream}
    fields = None if cut_at else _fields(line)
    if fields is None:
        text = printable(line.decode("utf-8", "backslashreplace"))
        fields = {"event": text, "level": "info", "timestamp": now()}
        if cut_at:
            fields["cut_after_bytes"] = cut_at
    return {**fields, **label}


def _fields(line: bytes) -> dict[str, Any] | None:
    """Return the fields of a structured line, None for anything else."""
    if not (line.startswith(b"{") and line.endswith(b"}")):
        return None
    try:
        found = orjson.loads(line)
    except orjson.JSONDecodeError:
        return None
    texts = (found.get(key) for key in ("event", "level", "timestamp"))
    return found if all(isinstance(text, str) for text in texts) and found["level"] in _LEVELS else None
