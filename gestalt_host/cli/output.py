"""What the command line prints: JSON documents and tables on stdout, confirmations, warnings and errors on stderr."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, TextIO

import orjson

from gestalt_host.cli import streams, tables
from gestalt_host.cli.errors import CliError
from gestalt_host.cli.json_lists import JsonValue
from gestalt_host.cli.tables import TableColumn

_SHORTEST_SECRET = 8
"""Something shorter is no secret, and replacing it would garble words."""
_STYLES = {"error": "\x1b[1;31m", "warning": "\x1b[1;33m", "done": "\x1b[32m"}


class Output:
    """Prints in one format; the streams are looked up when something is printed.

    Nothing but a document of JSON is printed as it came: what a terminal would obey is escaped, and in JSON too.

    Args:
        secrets: What no error and no warning may show, whoever's text it is in.
    """

    def __init__(self, format: str, environ: Mapping[str, str], secrets: Collection[str] = ()) -> None:
        self.as_json = format == "json"
        self._environ = environ
        self._secrets = secrets

    def json(self, value: Any) -> None:
        """Print the document with sorted keys, indented by two blanks."""
        sys.stdout.write(f"{json_text(value)}\n")

    def json_list(self, items: Iterable[JsonValue]) -> None:
        """Print the items as ``json`` prints their list, each as it comes."""
        before = "[\n"
        for item in items:
            sys.stdout.write(before + "  " + json_text(item).replace("\n", "\n  "))
            before = ",\n"
        self.line("[]" if before == "[\n" else "\n]")

    def line(self, text: str) -> None:
        sys.stdout.write(f"{tables.printable_lines(text)}\n")

    def table(self, columns: Sequence[TableColumn], rows: Sequence[Sequence[str]]) -> None:
        if not rows:
            self.line("No results.")
            return
        for line in tables.draw(columns, rows, width=terminal_width(sys.stdout)):
            self.line(line)

    def any_table(self, value: Any) -> None:
        """Print a JSON value of unknown shape: an object or a list of objects as a table, everything else as JSON."""
        if isinstance(value, list) and value and isinstance(value[0], dict):
            items = [item for item in value if isinstance(item, dict)]
            # An object without members names no columns: the first one that has some does.
            keys = sorted(next(filter(None, items), {}))
            columns = [
                TableColumn(key, rank=0 if key in ("id", "name") else place + 1, wraps=key != "id")
                for place, key in enumerate(keys)
            ]
            self.table(
                columns,
                [[cell(item[key]) if key in item else "" for key in keys] for item in items if keys],
            )
        elif isinstance(value, dict):
            rows = [[key, cell(value[key])] for key in sorted(value)]
            self.table([TableColumn("key"), TableColumn("value", wraps=True)], rows)
        else:
            self.json(value)

    def done(self, text: str) -> None:
        """Confirm on stderr what was done."""
        self._say(self.paint("done", tables.printable_lines(text)))

    def say(self, text: str) -> None:
        """Print a part of a conversation on stderr."""
        self._say(tables.printable_lines(text))

    def warn(self, text: str) -> None:
        self._say(f"{self.paint('warning', 'warning')}: {tables.printable_lines(self._discreet(text))}")

    def fail(self, text: str) -> None:
        self._say(f"{self.paint('error', 'error')}: {tables.printable_lines(self._discreet(text))}")

    def remark(self, text: str) -> None:
        """Print something for a person only: on stderr, when that is a terminal."""
        if self.has_reader:
            self.say(text)

    @property
    def has_reader(self) -> bool:
        """Whether a remark would be seen."""
        return _is_terminal(sys.stderr)

    def _say(self, text: str) -> None:
        sys.stdout.flush()  # keeps the order where both streams go to one place
        try:
            sys.stderr.write(f"{text}\n")
            sys.stderr.flush()
        except OSError:
            streams.discard_stderr()  # there is nobody to tell; the exit code still says how it went

    def _discreet(self, text: str) -> str:
        """Return the text without secrets: an error may quote what was sent, also one of a server or proxy."""
        for secret in self._secrets:
            if len(secret) >= _SHORTEST_SECRET:
                text = text.replace(secret, "***")
        return text

    def paint(self, style: str, text: str) -> str:
        """Return the text in the style's colour where both streams are terminals or colour is forced on a terminal."""
        if self._environ.get("TERM") in ("", "dumb"):
            return text
        forced = self._environ.get("CLICOLOR_FORCE", "0") not in ("", "0")
        if not _is_terminal(sys.stderr) or not (forced or _is_terminal(sys.stdout)) or self._environ.get("NO_COLOR"):
            return text
        return f"{_STYLES[style]}{text}\x1b[0m"


def json_text(value: Any) -> str:
    """Return the document in lines; what a terminal would obey is written as JSON's own escapes."""
    try:
        text = orjson.dumps(value, option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS).decode()
    except (TypeError, ValueError) as error:
        raise CliError(f"the answer cannot be printed as JSON: {error}") from error
    return re.sub(f"[{tables.OBEYED}]", lambda found: f"\\u{ord(found[0]):04x}", text)


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
