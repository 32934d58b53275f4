"""Errors of the daemon's commands."""

from __future__ import annotations

from gestalt_host.errors import HostError


class CommandFailed(HostError):
    """The command ends with ``exit_status``; the text is what the person who ran it reads."""

    exit_status = 1


class UsageWrong(CommandFailed):
    """An option or argument is not accepted.

    Attributes:
        notice: Printed before the error, followed by ``help_text``; blank where the error alone is printed.
    """

    def __init__(self, text: str, *, notice: str = "", help_text: str = "") -> None:
        super().__init__(text)
        self.notice = notice
        self.help_text = help_text
