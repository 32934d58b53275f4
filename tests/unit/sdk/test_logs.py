"""Logging never raises into what logs, whatever is logged and whatever stderr is."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from textwrap import dedent
from typing import Any

REPOSITORY = Path(__file__).parents[3]


def run(
    source: str, *, closed: tuple[int, ...] = (), stderr: int | None = subprocess.PIPE
) -> subprocess.CompletedProcess[str]:
    """Run the source in a process; ``closed`` descriptors are not there when it begins."""
    closing = " ".join(f"{number}>&-" for number in closed)
    return subprocess.run(
        ["sh", "-c", f'exec "$0" -c "$1" {closing}', sys.executable, dedent(source)],
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        stdout=subprocess.PIPE,
        stderr=stderr,
        text=True,
        timeout=60,
        check=False,
    )


def lines(ended: subprocess.CompletedProcess[str]) -> list[dict[str, Any]]:
    assert ended.returncode == 0, ended.stderr
    return [json.loads(line) for line in ended.stderr.splitlines()]


def test_what_cannot_be_rendered_is_shown_as_far_as_it_can_or_counted() -> None:
    ended = run(
        """
        import logging, structlog
        from gestalt_sdk.serving.logs import configure_logging
        from gestalt_sdk.serving.streams import flush_logs, log_lines_dropped

        class Broken:
            def __str__(self):
                raise RuntimeError("no text")
            __repr__ = __str__

        configure_logging("test")
        log = structlog.get_logger()
        log.warning("a file name", path="\\udc80")
        flush_logs()
        log.warning("%d lines", "no number")
        log.warning("broken", value=Broken())
        logging.getLogger("other").warning("broken %s", Broken())
        log.warning("counted", count=log_lines_dropped())
        """
    )
    found = lines(ended)
    assert found[0]["path"] == "\udc80"
    assert [line["event"] for line in found[1:]] == [
        "lines of the log could not be written and were dropped",
        "counted",
    ]
    assert found[1]["dropped"] == found[2]["count"] == 3


def test_both_kinds_of_logging_arrive_with_the_name_of_the_process() -> None:
    found = lines(
        run(
            """
            import logging, structlog
            from gestalt_sdk.serving.logs import configure_logging
            configure_logging("test")
            structlog.get_logger().info("ours", event_name="x")
            logging.getLogger("library").warning("theirs")
            """
        )
    )
    assert [(line["event"], line["process"], line["level"]) for line in found] == [
        ("ours", "test", "info"),
        ("theirs", "test", "warning"),
    ]


def test_a_line_of_any_thread_names_the_process_and_no_line_moves_a_terminal() -> None:
    ended = run(
        """
        import threading, structlog
        from gestalt_sdk.serving.logs import configure_logging, write_line
        configure_logging("test")
        thread = threading.Thread(target=lambda: structlog.get_logger().info("in a thread \\x1b \\x9b \\u202e"))
        thread.start()
        thread.join()
        write_line({"event": "of another", "process": "other"})
        """
    )
    assert [(line["event"], line["process"]) for line in lines(ended)] == [
        ("in a thread \x1b \x9b \u202e", "test"),
        ("of another", "other"),
    ]
    assert all(text.isprintable() for text in ended.stderr.splitlines())


def test_without_stderr_no_file_takes_its_place() -> None:
    ended = run(
        """
        import os, structlog
        from gestalt_sdk.serving.logs import configure_logging
        from gestalt_sdk.serving.streams import flush_logs, log_lines_dropped, tell
        configure_logging("test")
        print(os.open("/dev/zero", os.O_RDONLY) > 2)
        structlog.get_logger().warning("nobody hears this")
        tell("nor this")
        flush_logs()
        print(log_lines_dropped())
        """,
        closed=(2,),
    )
    assert (ended.returncode, ended.stdout.split()) == (0, ["True", "1"])


def test_a_process_whose_log_nobody_reads_ends_by_itself() -> None:
    reader, writer = os.pipe()
    try:
        ended = run(
            """
            import structlog
            from gestalt_sdk.serving.logs import configure_logging
            configure_logging("test")
            for _ in range(1000):
                structlog.get_logger().warning("x" * 1000)
            print("done")
            """,
            stderr=writer,
        )
    finally:
        os.close(reader)
        os.close(writer)
    assert (ended.returncode, ended.stdout) == (0, "done\n")


def test_what_is_told_to_people_moves_no_terminal_and_keeps_its_lines() -> None:
    ended = run(
        """
        from gestalt_sdk.serving.streams import tell
        tell("first \\x1b[2J\\nsecond\\ttab")
        """
    )
    assert ended.stderr == "first \\x1b[2J\nsecond\ttab\n"


def test_a_line_that_cannot_be_made_is_not_written_and_raises_nothing() -> None:
    ended = run(
        """
        from gestalt_sdk.serving.logs import configure_logging, write_line
        configure_logging("test")
        nested = []
        for _ in range(100000):
            nested = [nested]
        print(write_line({"event": "x", "nested": nested}), write_line({"event": "y"}))
        """
    )
    assert (ended.returncode, ended.stdout) == (0, "False True\n")
