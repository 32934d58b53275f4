"""Tables: what is never broken, what gives way, what is never cut."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gestalt_host.cli.tables import TableColumn, draw, printable, text_width, wrap

RUN = "schedule:0b0e0c1a-1111-4222-8333-1234567890ab:2026-05-08T21:30:00Z"
TIME = "2026-05-08T21:30:00.482113Z"
COLUMNS = (TableColumn("ID"), TableColumn("Plugin", 2), TableColumn("Status", 1), TableColumn("Next Run", 3))
ROWS = [[RUN, "roadmap", "succeeded", TIME], ["event:" + "a" * 32, "slack", "failed", TIME]]


def test_a_table_that_fits_has_a_frame() -> None:
    assert draw([TableColumn("Key"), TableColumn("Value")], [["url", "http://localhost:8080"]]) == [
        "╭─────────────────────────────╮",
        "│ Key   Value                 │",
        "╞═════════════════════════════╡",
        "│ url   http://localhost:8080 │",
        "╰─────────────────────────────╯",
    ]


def test_a_heading_that_a_terminal_would_obey_is_escaped_before_it_is_measured() -> None:
    lines = draw([TableColumn("\x1b[31mkey")], [["1"]])
    assert "\\x1b[31mkey" in lines[1]
    assert len({text_width(line) for line in lines}) == 1


def test_without_a_terminal_every_row_is_one_whole_line() -> None:
    lines = draw((*COLUMNS, TableColumn("Text", 4, wraps=True)), [[*row, "long prose\n" * 50] for row in ROWS])
    assert len(lines) == 3 + len(ROWS) + 1
    for row, line in zip(ROWS, lines[3:], strict=False):
        assert all(value in line for value in row)


@pytest.mark.parametrize("width", range(20, 160, 7))
def test_ids_times_and_headings_stay_whole_at_every_width(width: int) -> None:
    lines = draw(COLUMNS, ROWS, width=width)
    text = "\n".join(lines)
    assert RUN in text
    for title, value in (("Status", "succeeded"), ("Plugin", "roadmap"), ("Next Run", TIME)):
        hidden = re.search(rf"Too narrow for: .*{title}", text)
        assert (value in text) != bool(hidden)
        assert title in text
    drawn = [line for line in lines if not line.startswith("Too narrow")]
    assert max(map(len, drawn)) <= max(width, len(RUN))


def test_the_least_important_columns_go_first_and_the_last_line_says_how_to_see_them() -> None:
    lines = draw(COLUMNS, ROWS, width=80)
    assert lines[0].split() == ["ID", "Status"]
    assert "Plugin, Next Run" in lines[-1]
    assert "--format json" in lines[-1]
    assert draw(COLUMNS, ROWS, width=90)[0].split() == ["ID", "Plugin", "Status"]


def test_the_first_column_stays_on_any_terminal() -> None:
    assert draw(COLUMNS, ROWS, width=1)[2] == RUN


def test_prose_wraps_before_a_column_goes() -> None:
    columns = [TableColumn("Name"), TableColumn("Description", 1, wraps=True)]
    lines = draw(columns, [["close_day", "Close the books for one day"]], width=38)
    assert [line[2:-2].rstrip() for line in lines[3:-1]] == ["close_day   Close the books for", "            one day"]


def test_wide_characters_count_two() -> None:
    lines = draw([TableColumn("Name"), TableColumn("N")], [["日本", "1"], ["abcd", "2"]])
    assert {text_width(line) for line in lines} == {text_width(lines[0])}


@given(st.text(), st.integers(2, 30))
def test_wrapped_lines_fit_and_lose_nothing_but_blanks(text: str, width: int) -> None:
    text = printable(text, keep_lines=True)
    lines = wrap(text, width)
    assert all(text_width(line) <= width for line in lines)
    assert "".join(lines).replace(" ", "") == re.sub(r"[ \n]", "", text)


@given(st.text())
def test_nothing_that_a_terminal_obeys_is_printed(text: str) -> None:
    assert not re.search(r"[\x00-\x1f\x7f-\x9f]", printable(text))
    assert printable("a\x1b[31mb\r\nc\td") == "a\\x1b[31mb c d"
