"""A line is written, or dropped and counted; whoever writes it never fails and never waits."""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from gestalt_sdk.serving.sink import LineSink
from tests.support.waiting import until


def notice(dropped: int) -> str:
    return f"dropped {dropped}"


class Fifo:
    """A pipe with a name: its reader can go and come back."""

    def __init__(self, path: Path) -> None:
        os.mkfifo(path)
        self.path = path
        self.reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        self.writer = os.open(path, os.O_WRONLY)

    def close_reader(self) -> None:
        os.close(self.reader)

    def open_reader(self) -> None:
        self.reader = os.open(self.path, os.O_RDONLY | os.O_NONBLOCK)

    def read(self) -> str:
        try:
            return os.read(self.reader, 1 << 20).decode()
        except BlockingIOError:
            return ""


@pytest.fixture
def fifo(tmp_path: Path) -> Iterator[Fifo]:
    made = Fifo(tmp_path / "fifo")
    yield made
    os.close(made.reader)
    os.close(made.writer)


def test_lines_arrive_whole_and_in_order(fifo: Fifo) -> None:
    sink = LineSink(fifo.writer, notice)
    for number in range(100):
        sink.write(f"line {number}")
    assert sink.flush(10)
    assert fifo.read().splitlines() == [f"line {number}" for number in range(100)]
    assert sink.dropped == 0


def test_a_reader_that_comes_back_learns_how_many_lines_it_has_missed(fifo: Fifo) -> None:
    sink = LineSink(fifo.writer, notice)
    fifo.close_reader()
    for _ in range(3):
        sink.write("nobody reads this")
    assert sink.flush(10)
    assert sink.dropped == 3
    fifo.open_reader()
    sink.write("here again")
    sink.write("and again")
    assert sink.flush(10)
    assert fifo.read().splitlines() == ["dropped 3", "here again", "and again"]


def test_a_full_pipe_delays_nobody_and_what_finds_no_place_is_counted(fifo: Fifo) -> None:
    sink = LineSink(fifo.writer, notice, queue_bytes=64 * 1024)
    total, line = 5000, "x" * 99
    for _ in range(total):
        sink.write(line)
    assert sink.dropped > 0
    assert not sink.flush(0)
    read = ""

    def drained() -> bool:
        nonlocal read
        read += fifo.read()
        return sink.flush(0)

    until(drained)
    sink.write("after it")
    assert sink.flush(10)
    lines = (read + fifo.read()).splitlines()
    reported = sum(int(text.split()[1]) for text in lines if text.startswith("dropped"))
    assert reported == sink.dropped
    assert lines.count(line) + sink.dropped == total
    assert lines[-1] == "after it"


def test_a_descriptor_that_somebody_made_non_blocking_is_waited_for(fifo: Fifo) -> None:
    os.set_blocking(fifo.writer, False)
    sink = LineSink(fifo.writer, notice)
    for number in range(3000):
        sink.write(f"{number:099}")
    read = ""

    def drained() -> bool:
        nonlocal read
        read += fifo.read()
        return sink.flush(0)

    until(drained)
    assert [int(text) for text in (read + fifo.read()).splitlines()] == list(range(3000))
    assert sink.dropped == 0


@pytest.mark.parametrize("device", ["/dev/full", None], ids=["full disk", "no descriptor"])
def test_what_can_never_be_written_is_counted(device: str | None) -> None:
    descriptor = -1 if device is None else os.open(device, os.O_WRONLY)
    sink = LineSink(descriptor, notice)
    sink.write("one")
    sink.write("two")
    assert sink.flush(10)
    assert sink.dropped == 2


def test_a_line_that_was_cut_off_does_not_swallow_the_next_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "log"
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT)
    sink = LineSink(descriptor, notice)
    room = [4]

    def write(to: int, data: bytes) -> int:
        if to != descriptor:
            return os_write(to, data)
        if not room[0]:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        written = os_write(to, data[: room[0]])
        room[0] -= written
        return written

    os_write = os.write
    monkeypatch.setattr(os, "write", write)
    sink.write("a line on a full disk")
    assert sink.flush(10)
    room[0] = 1000
    sink.write("the next one")
    assert sink.flush(10)
    assert path.read_text().splitlines() == ["a li", "dropped 1", "the next one"]
    os.close(descriptor)


def test_many_threads_lose_nothing(fifo: Fifo) -> None:
    sink = LineSink(fifo.writer, notice)

    def write_some() -> None:
        for _ in range(500):
            sink.write("line")

    threads = [threading.Thread(target=write_some) for _ in range(4)]
    for thread in threads:
        thread.start()
    read = ""

    def drained() -> bool:
        nonlocal read
        read += fifo.read()
        return not any(thread.is_alive() for thread in threads) and sink.flush(0)

    until(drained)
    assert (read + fifo.read()).splitlines() == ["line"] * 2000


def test_what_is_offered_leaves_half_of_the_queue_to_the_process_itself(fifo: Fifo) -> None:
    sink = LineSink(fifo.writer, notice, queue_bytes=256 * 1024)
    line = "x" * 99
    offered = sum(sink.offer(line) for _ in range(10000))
    assert 0 < offered < 10000
    assert sink.dropped == 0
    sink.write("own")
    assert sink.dropped == 0
    read = ""

    def drained() -> bool:
        nonlocal read
        read += fifo.read()
        return sink.flush(0)

    until(drained)
    lines = (read + fifo.read()).splitlines()
    assert lines.count(line) == offered
    assert lines[-1] == "own"
    assert sink.offer("again")
