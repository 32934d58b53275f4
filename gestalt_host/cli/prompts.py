"""Questions to a person: written to stderr, answered on standard input."""

from __future__ import annotations

import getpass
import sys
from collections.abc import Mapping
from urllib.parse import urlencode

from gestalt_host.cli.errors import CliError
from gestalt_host.cli.tables import printable, printable_lines


def say(text: str) -> None:
    sys.stderr.write(f"{printable_lines(text)}\n")
    sys.stderr.flush()


def text(label: str, *, default: str = "") -> str:
    """Ask for one line of text; the default for an empty one."""
    say(f"\n{label}")
    return _line(f"Value [{default}]: " if default else "Value: ", "input") or default


def secret(label: str) -> str:
    """Ask for one line that a terminal does not show.

    Raises:
        CliError: end of input, or an empty answer.
    """
    if sys.stdin.isatty():
        try:
            answer = getpass.getpass(f"{printable(label)}: ", stream=sys.stderr)
        except EOFError as error:
            raise CliError("stdin closed while waiting for input") from error
    else:
        answer = _line(f"{label}: ", "input")
    if not answer:
        raise CliError(f"{label} is required")
    return answer


def confirm(question: str, *, default: bool) -> bool:
    """Ask for yes or no: yes is an answer that starts with ``y``, an empty one is the default."""
    answer = _line(f"{question} [{'Y/n' if default else 'y/N'}]: ", "confirmation")
    return answer.lower().startswith("y") if answer else default


def choice(count: int) -> int:
    """Ask for one of ``count`` listed things until the answer is one; return its index."""
    while True:
        answer = _line(f"Selection [1-{count}]: ", "selection")
        if answer.isascii() and answer.isdecimal() and 1 <= int(answer) <= count:
            return int(answer) - 1
        say(f"Please enter a number from 1 to {count}.")


def _line(prompt: str, purpose: str) -> str:
    sys.stderr.write(printable(prompt))
    sys.stderr.flush()
    line = sys.stdin.readline()
    if not line:
        raise CliError(f"stdin closed while waiting for {purpose}")
    return line.strip()


def open_browser(url: str) -> bool:
    """Open the URL in a browser; False where there is none. Only web addresses are handed on."""
    import webbrowser

    if not url.startswith(("http://", "https://")):
        return False
    try:
        return webbrowser.open(url)
    except webbrowser.Error:
        return False


def form(values: Mapping[str, str]) -> bytes:
    """Ask for form-encoded values."""
    return urlencode(values).encode()
