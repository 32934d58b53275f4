"""What the command line prints: JSON documents and tables on stdout, confirmations, warnings and errors on stderr."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TextIO

import orjson

from gestalt_host.cli import tables
from gestalt_host.cli.errors import CliError
from gestalt_host.cli.json_lists import JsonValue
from gestalt_host.cli.tables import TableColumn

_STYLES = {"error": "\x1b[1;31m", "warning": "\x1b[1;33m", "done": "\x1b[32m"}


class Output:
    """Prints in one format; the streams are looked up when something is printed."""

    def __init__(self, format: str, environ: Mapping[str, str]) -> None:
        self.as_json = format == "json"
        self._environ = environ

    def json(self, value: Any) -> None:
        """Print the document with sorted keys, indented by two blanks."""
        self.line(json_text(value))

    def json_list(self, items: Iterable[JsonValue]) -> None:
        """Print the items as ``json`` prints their list, each as it comes."""
        before = "[\n"
        for item in items:
            sys.stdout.write(before + "  " + json_text(item).replace("\n", "\n  "))
            before = ",\n"
        self.line("[]" if before == "[\n" else "\n]")

    def line(self, text: str) -> None:
        sys.stdout.write(f"{text}\n")

    def table(self, columns: Sequence[TableColumn], rows: Sequence[Sequence[str]]) -> None:
        if not rows:
            self.line("No results.")
            return
        for line in tables.draw(columns, rows, width=terminal_width(sys.stdout)):
            self.line(line)

    def any_table(self, value: Any) -> None:
        """Print a JSON value of unknown shape: an object or a list of objects as a table, everything else as JSON."""
        if isinstance(value, list) and value and isinstance(value[0], dict):
            keys = sorted(value[0])
            columns = [
                TableColumn(key, rank=0 if key in ("id", "name") else place + 1, wraps=key != "id")
                for place, key in enumerate(keys)
            ]
            self.table(
                columns,
                [[cell(item[key]) if key in item else "" for key in keys] for item in value if isinstance(item, dict)],
            )
        elif isinstance(value, dict):
            rows = [[key, cell(value[key])] for key in sorted(value)]
            self.table([TableColumn("key"), TableColumn("value", wraps=True)], rows)
        else:
            self.json(value)

    def done(self, text: str) -> None:
        """Confirm on stderr what was done."""
        self._say(self.paint("done", text))

    def say(self, text: str) -> None:
        """Print a part of a conversation on stderr."""
        self._say(text)

    def warn(self, text: str) -> None:
        self._say(f"{self.paint('warning', 'warning')}: {_visible(text)}")

    def fail(self, text: str) -> None:
        self._say(f"{self.paint('error', 'error')}: {_visible(text)}")

    def remark(self, text: str) -> None:
        """Print something for a person only: on stderr, when that is a terminal."""
        if _is_terminal(sys.stderr):
            self._say(text)

    @property
    def has_reader(self) -> bool:
        """Whether a remark would be seen."""
        return _is_terminal(sys.stderr)

    def _say(self, text: str) -> None:
        sys.stdout.flush()  # keeps the order where both streams go to one place
        sys.stderr.write(f"{text}\n")
        sys.stderr.flush()

    def paint(self, style: str, text: str) -> str:
        """Return the text in the style's colour where both streams are terminals or colour is forced on a terminal."""
        forced = self._environ.get("CLICOLOR_FORCE", "0") not in ("", "0")
        if not _is_terminal(sys.stderr) or not (forced or _is_terminal(sys.stdout)) or self._environ.get("NO_COLOR"):
            return text
        return f"{_STYLES[style]}{text}\x1b[0m"


def json_text(value: Any) -> str:
    try:
        return orjson.dumps(value, option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS).decode()
    except (TypeError, ValueError) as error:
        raise CliError(f"the answer cannot be printed as JSON: {error}") from error


def cell(value: Any) -> str:
    """Return a table cell: strings as they are, everything else as compact JSON."""
    return value if isinstance(value, str) else orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode()


def member(value: Any, *path: str) -> Any:
    """Return the value at a path of object members; None when something on the way is missing or no object."""
    for key in path:
        value = value.get(key) if isinstance(value, dict) else None
    return value


def text_or_dash(value: Any) -> str:
    """Return a string as it is, also an empty one; ``-`` for anything else."""
    return value if isinstance(value, str) else "-"


def yes_or_no(value: Any) -> str:
    return ("yes" if value else "no") if isinstance(value, bool) else "-"


def terminal_width(stream: TextIO) -> int | None:
    """Return the columns of the terminal behind ``stream``; None when it is none or does not say."""
    try:
        return os.get_terminal_size(stream.fileno()).columns or None
    except (OSError, ValueError, AttributeError):
        return None


def _is_terminal(stream: TextIO) -> bool:
    try:
        return stream.isatty()
    except ValueError:
        return False


def _visible(text: str) -> str:
    """Return the text without control characters: much of an error's text comes from elsewhere."""
    return "\n".join(tables.printable(line) for line in text.split("\n"))
