"""What is told of downloads: a bar on a terminal, a line a provider elsewhere."""

from __future__ import annotations

import fcntl
import io
import os
import pty
import re
import struct
import termios
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from gestalt_host.packages.downloads.progress import Bar, Lines, progress_on, size_text


class Closed(io.StringIO):
    def write(self, text: str) -> int:
        raise BrokenPipeError


def test_elsewhere_there_is_one_line_for_an_archive_and_one_for_each_note() -> None:
    stream = io.StringIO()
    progress = progress_on(stream)
    transfer = progress.begin('indexeddb "main"', "foo.tar.gz")
    for received in range(0, 1000, 10):
        transfer.at(received, 1000)
    progress.note('provider "tasks"', "http://h/x: unexpected status 503; trying again in 1 s")
    transfer.end("downloaded, 1.0 KiB")
    progress.close()
    assert stream.getvalue().splitlines() == [
        'provider "tasks": http://h/x: unexpected status 503; trying again in 1 s',
        'indexeddb "main": foo.tar.gz: downloaded, 1.0 KiB',
    ]


def test_a_terminal_gets_a_bar_that_leaves_a_line() -> None:
    controller, terminal = pty.openpty()
    with os.fdopen(terminal, "w") as stream:
        progress = progress_on(stream)
        assert isinstance(progress, Bar)
        transfer = progress.begin('indexeddb "main"', "foo.tar.gz")
        transfer.at(512, 1024)
        transfer.end("downloaded, 1.0 KiB")
        progress.note('indexeddb "main"', "a [note]")
        progress.close()
        shown = os.read(controller, 100_000).decode()
    os.close(controller)
    assert 'indexeddb "main": foo.tar.gz: downloaded, 1.0 KiB' in shown
    assert "a [note]" in shown


def test_a_narrow_terminal_shows_how_much_has_come_in_one_line() -> None:
    controller, terminal = pty.openpty()
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    with os.fdopen(terminal, "w") as stream:
        progress = progress_on(stream)
        transfer = progress.begin('indexeddb "main"', "gestalt-plugin-relationaldb_v0.1.0_linux_amd64.tar.gz")
        transfer.at(17 << 19, 17 << 20)
        progress.close()
        shown = os.read(controller, 100_000).decode()
    os.close(controller)
    drawn = [re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", line) for line in re.split(r"[\r\n]+", shown)]
    assert any(re.match(r'indexeddb "main" [^ ]{20,} 8\.5/17\.0 MiB ', line) for line in drawn), drawn


def test_the_log_of_a_host_has_events_from_the_beginning_of_a_download() -> None:
    stream = io.StringIO()
    progress = progress_on(stream, is_log=True)
    with capture_logs() as logged:
        transfer = progress.begin('provider "tasks"', "foo.tar.gz")
        began = len(logged)
        transfer.end("downloaded, 1.0 KiB")
    told = {"event_name": "package.download", "entry": 'provider "tasks"', "log_level": "info"}
    assert logged == [
        {**told, "event": "foo.tar.gz: is downloaded now"},
        {**told, "event": "foo.tar.gz: downloaded, 1.0 KiB"},
    ]
    assert (began, stream.getvalue()) == (1, "")


@pytest.mark.parametrize("make", [lambda path: None, lambda path: (path / "x").open("w")])
def test_nobody_is_told_where_nobody_reads(tmp_path: Path, make: object) -> None:
    stream = make(tmp_path)  # type: ignore[operator]
    if stream is not None:
        stream.close()
    progress_on(stream).begin("a", "b").end("c")


def test_a_reader_who_has_gone_does_not_end_the_download() -> None:
    Lines(Closed()).begin("a", "b").end("c")


def test_what_is_shown_cannot_drive_the_terminal() -> None:
    stream = io.StringIO()
    Lines(stream).begin("a", "x\x1b[2J.tar.gz").end("failed")
    assert "\x1b" not in stream.getvalue()


@pytest.mark.parametrize(
    ("number", "text"), [(0, "0 B"), (1023, "1023 B"), (1536, "1.5 KiB"), (5 * 2**20, "5.0 MiB"), (2**41, "2048.0 GiB")]
)
def test_sizes_are_for_people(number: int, text: str) -> None:
    assert size_text(number) == text
