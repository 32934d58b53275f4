"""One command of `gestaltd`, from its words to its exit status."""

from __future__ import annotations

import os
from collections.abc import Sequence

import structlog

from gestalt_host.daemon import commands, help_texts
from gestalt_host.daemon.console import show
from gestalt_host.daemon.errors import UsageWrong
from gestalt_host.daemon.options import HELP_WORDS, parse_options
from gestalt_host.daemon.provider.program import run_provider_command
from gestalt_host.daemon.store_commands import NOT_DONE, run_store_command
from gestalt_host.errors import HostError
from gestalt_host.supervisor import ProviderStartFailed
from gestalt_sdk.errors import GestaltError
from gestalt_sdk.serving.logs import configure_logging, tell
from gestalt_sdk.version import VERSION

OPTIONS = ("config", "artifacts-dir")

log = structlog.get_logger()


def run(words: Sequence[str]) -> int:
    """Run one command; 0 when it did what was asked, 1 for any error, which is one message on stderr."""
    configure_logging("gestaltd")
    try:
        return _run(list(words))
    except UsageWrong as error:
        return _refuse(error)
    except (HostError, GestaltError) as error:
        return _fail(error)
    except KeyboardInterrupt:
        return 130
    except Exception as error:
        log.exception("gestaltd failed", event_name="daemon.failed")
        tell(f"gestaltd: internal error: {type(error).__name__}: {error}; the log line above says where")
        return 1


def _run(words: list[str]) -> int:
    command = words[0] if words else ""
    if command in ("version", "--version", "-version", "-v"):
        show(VERSION)
        return 0
    if command == "help" or command.lstrip("-") in HELP_WORDS:
        return _help(help_texts.ROOT)
    if command == "validate":
        options = parse_options(words[1:], OPTIONS, help_texts.VALIDATE, flags=("runtime",))
        if options.help:
            return _help(help_texts.VALIDATE)
        commands.validate(options, os.environ)
        return 0
    if command == "store":
        return _store(words[1:])
    if command == "provider":
        text = run_provider_command(words[1:], os.environ)
        return _help(text) if text else 0
    is_serve = command == "serve"
    text = help_texts.SERVE if is_serve else help_texts.ROOT
    options = parse_options(words[1:] if is_serve else words, OPTIONS, text)
    if options.help:
        return _help(text)
    commands.serve(options, os.environ, generate=not is_serve)
    return 0


def _store(words: list[str]) -> int:
    try:
        status = run_store_command(words, os.environ)
    except UsageWrong as error:
        _refuse(error)
        return NOT_DONE
    except HostError as error:
        _fail(error)
        return NOT_DONE
    return _help(help_texts.STORE) if status is None else status


def _help(text: str) -> int:
    tell(text)
    return 0


def _refuse(error: UsageWrong) -> int:
    if error.notice:
        tell(error.notice)
        tell(error.help_text)
    return _fail(error)


def _fail(error: GestaltError) -> int:
    if isinstance(error, ProviderStartFailed) and error.last_lines:
        log.error("provider did not start", event_name="provider.start_failed", last_lines=error.last_lines)
    tell(f"gestaltd: {error}")
    return 1
