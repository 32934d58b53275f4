"""Bytes of a provider's output become bounded lines, and no line can be taken for one of the host."""

from __future__ import annotations

import itertools
import json
from typing import Any

import pytest

from gestalt_host.supervisor.output.lines import Budget, LineSplitter, log_line

LIMIT = 20


def split(*parts: bytes, limit: int = LIMIT) -> list[tuple[bytes, bool]]:
    lines = LineSplitter(limit)
    found = [line for part in parts for line in lines.feed(part)]
    last = lines.finish()
    return [*found, (last, False)] if last else found


def line(text: bytes, **more: Any) -> dict[str, Any]:
    return log_line("roadmap", "integration", "stderr", text, **more)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"one\ntwo\n", [b"one", b"two"]),
        (b"one\r\ntwo\r\n", [b"one", b"two"]),
        (b"10 %\r20 %\r30 %\n", [b"10 %", b"20 %", b"30 %"]),
        (b"\n\n\r\none\n\n", [b"one"]),
        (b"no end", [b"no end"]),
        (b"a\0b\n\xff\xfe\n", [b"a\0b", b"\xff\xfe"]),
        (b"x" * LIMIT + b"\n", [b"x" * LIMIT]),
    ],
)
def test_lines_are_the_same_however_the_bytes_arrive(data: bytes, expected: list[bytes]) -> None:
    whole = [(text, False) for text in expected]
    assert split(data) == whole
    assert split(*(data[at : at + 1] for at in range(len(data)))) == whole
    for at in range(len(data)):
        assert split(data[:at], data[at:]) == whole


def test_a_line_over_the_limit_is_given_out_as_soon_as_it_reaches_it_and_its_rest_is_counted() -> None:
    lines = LineSplitter(LIMIT)
    assert list(lines.feed(b"x" * LIMIT)) == []
    assert list(lines.feed(b"y")) == [(b"x" * LIMIT, True)]
    for _ in range(160):
        assert list(lines.feed(b"z" * 65536)) == []
    assert lines.cut_bytes == 1 + 160 * 65536
    assert list(lines.feed(b"\nnext\n")) == [(b"next", False)]
    assert lines.finish() == b""


def test_what_is_skipped_is_counted_and_the_next_line_is_whole() -> None:
    lines = LineSplitter(LIMIT)
    assert list(lines.feed(b"begun")) == []
    assert lines.skip(b" and ended\ntwo\r\nthree\nfour") == (3, 5 + 11 + 4 + 6)
    assert list(lines.feed(b" goes on\n")) == [(b"four goes on", False)]


def test_a_long_line_that_is_skipped_counts_once() -> None:
    lines = LineSplitter(LIMIT)
    parts = [b"x" * 30, b"y" * 30, b"\n", b"next\n"]
    assert [lines.skip(part) for part in parts] == [(1, 30), (0, 30), (0, 1), (1, 5)]
    assert lines.cut_bytes == 0


def test_any_text_becomes_an_event_in_which_nothing_moves_a_terminal() -> None:
    found = line(b"\x1b[31mred\x1b]0;title\x07 \x00 \xff \x7f \xc2\x9b2J \xe2\x80\xae turned\ttab \xc3\xbc")
    assert found["event"] == "\\x1b[31mred\\x1b]0;title\\x07 \\x00 \\xff \\x7f \\x9b2J \\u202e turned\ttab ü"
    assert found["level"] == "info"
    assert found["timestamp"].endswith("Z")
    assert "cut_after_bytes" not in found
    assert line(b"x" * 5, cut_at=5)["cut_after_bytes"] == 5


def test_a_line_of_our_log_keeps_its_fields() -> None:
    said = {"event": "done", "event_name": "x.done", "level": "warning", "timestamp": "2024-01-01T00:00:00Z", "n": [1]}
    found = line(json.dumps(said).encode())
    assert found == {**said, "process": "roadmap", "process_kind": "integration", "stream": "stderr"}


@pytest.mark.parametrize(
    "text",
    [
        b'{"event": "all well", "level": "info", "timestamp": "now", "process": "gestaltd", "stream": "none"}',
        b'{"process": "gestaltd", "event": "all well"}',
        b'{"event": "x", "level": "info", "timestamp": "t", "process_kind": "host", "process": null}',
    ],
)
def test_no_line_can_say_that_it_is_of_somebody_else(text: bytes) -> None:
    found = line(text)
    assert (found["process"], found["process_kind"], found["stream"]) == ("roadmap", "integration", "stderr")


@pytest.mark.parametrize(
    "text",
    [
        b'{"event": "x", "level": "loud", "timestamp": "t"}',
        b'{"event": 1, "level": "info", "timestamp": "t"}',
        b'{"event": "x", "level": "info"}',
        b'{"event": "x", "level": ["info"], "timestamp": "t"}',
        b"{" * 5000 + b"}" * 5000,
        b'{"event": "x", "level": "info", "timestamp": "t", "n": NaN}',
        b'{"level": "info"',
        b"[1]",
        b"{}",
    ],
)
def test_what_only_looks_like_a_line_of_our_log_is_text(text: bytes) -> None:
    assert line(text)["event"] == text.decode()
    assert line(text)["level"] == "info"


def test_a_structured_line_that_was_cut_is_text() -> None:
    text = b'{"event": "x", "level": "error", "timestamp": "t"}'
    assert line(text, cut_at=len(text))["event"] == text.decode()


def test_a_budget_lets_a_burst_pass_and_then_its_rate() -> None:
    at = 0.0
    budget = Budget(10, 100, lambda: at)
    assert [budget.take(40) for _ in range(3)] == [True, True, False]
    assert budget.take(20)
    at += 3
    assert [budget.take(15) for _ in range(3)] == [True, True, False]
    at += 1000
    assert [budget.take(100), budget.take(1)] == [True, False]


def test_over_time_no_more_than_the_rate_passes() -> None:
    seconds = itertools.count()
    budget = Budget(10, 100, lambda: next(seconds))
    passed = sum(budget.take(7) for _ in range(1000)) * 7
    assert passed <= 100 + 10 * 1001
    passed = sum(budget.take(17) for _ in range(1000)) * 17
    assert 10 * 900 <= passed <= 100 + 10 * 1000
