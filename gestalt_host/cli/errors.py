"""Errors that the command line raises on purpose; each becomes one ``error:`` text and an exit code."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


class CliError(Exception):
    """Something failed while a command ran: an exit code, usually 1, and the message on stderr."""

    exit_code = 1

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class ApiError(CliError):
    """The server answered 4xx or 5xx.

    ``code`` and ``plugin`` are the typed error's members, empty when the answer has none; ``text`` is the server's own
    text, without the hint that ``message`` may carry. ``request_id`` finds the request in the server's log; empty when
    the server gave none.
    """

    def __init__(
        self, text: str, *, status: int, code: str = "", plugin: str = "", hint: str = "", request_id: str = ""
    ) -> None:
        super().__init__(text + hint)
        self.text = text
        self.status = status
        self.code = code
        self.plugin = plugin
        self.request_id = request_id


class Unreachable(CliError):
    """No connection to the server, or no answer in time."""


class NoAnswer(Unreachable):
    """The server was asked and did not answer in time: what was asked for may go on there."""


class BadInput(CliError):
    """Report that what the user gave cannot be sent: exit code 2, as for a wrong command line."""

    exit_code = 2


class OutputFailed(Exception):
    """Standard output cannot be written: exit code 1."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


@contextmanager
def failing_to(what: str) -> Iterator[None]:
    """Prefix the message of any ``CliError`` raised inside with ``failed to <what>: ``."""
    try:
        yield
    except CliError as error:
        error.message = f"failed to {what}: {error.message}"
        raise
