"""One command of `gestaltd`, from its words to its exit status.

What a command needs is imported when it is known, so that help and version come at once.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from gestalt_host.daemon import help_texts
from gestalt_host.daemon.console import show
from gestalt_host.daemon.errors import CommandFailed, UsageWrong
from gestalt_host.daemon.options import HELP_WORDS, parse_options
from gestalt_host.errors import HostError
from gestalt_sdk.common.lean_imports import lean_imports
from gestalt_sdk.errors import GestaltError
from gestalt_sdk.serving.streams import tell
from gestalt_sdk.version import VERSION

OPTIONS = ("config", "artifacts-dir", "lockfile")


def run(words: Sequence[str]) -> int:
    """Run one command; 0 when it did what was asked, else the error's status, mostly 1; it is one message on stderr."""
    try:
        return _run(list(words))
    except UsageWrong as error:
        _refuse(error)
        return error.exit_status
    except CommandFailed as error:
        _fail(error)
        return error.exit_status
    except (HostError, GestaltError) as error:
        return _fail(error)
    except KeyboardInterrupt:
        return 130
    except ModuleNotFoundError:
        raise  # a package that is missing: the program's entry names it
    except Exception as error:
        import structlog

        structlog.get_logger().exception("gestaltd failed", event_name="daemon.failed")
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
        options = parse_options(words[1:], (*OPTIONS, "platform"), help_texts.VALIDATE, flags=("runtime",))
        if options.help:
            return _help(help_texts.VALIDATE)
        _begin()
        from gestalt_host.daemon import commands

        commands.validate(options, os.environ)
        return 0
    if command in ("lock", "sync"):
        return _lock_command(command, words[1:])
    if command == "store":
        return _store(words[1:])
    if command == "provider":
        _begin()
        from gestalt_host.daemon.provider.program import run_provider_command

        text = run_provider_command(words[1:], os.environ)
        return _help(text) if text else 0
    is_serve = command == "serve"
    text = help_texts.SERVE if is_serve else help_texts.ROOT
    flags = ("locked",) if is_serve else ()
    options = parse_options(words[1:] if is_serve else words, OPTIONS, text, flags=flags)
    if options.help:
        return _help(text)
    if "locked" in options.flags:
        sys.dont_write_bytecode = True  # nothing but state is written, not even beside our own modules
    _begin()
    from gestalt_host.daemon import commands

    commands.serve(options, os.environ, generate=not is_serve)
    return 0


def _lock_command(command: str, words: list[str]) -> int:
    text, accepted, flags = {
        "lock": (help_texts.LOCK, ("config", "lockfile", "platform"), ("check",)),
        "sync": (help_texts.SYNC, OPTIONS, ("locked", "check")),
    }[command]
    options = parse_options(words, accepted, text, flags=flags)
    if options.help:
        return _help(text)
    _begin()
    from gestalt_host.daemon.locking import commands as lock_commands

    run = lock_commands.lock if command == "lock" else lock_commands.sync
    run(options, os.environ)
    return 0


def _begin() -> None:
    """Log as the host does, which a command that only prints a text need not."""
    with lean_imports():
        from gestalt_sdk.serving.logs import configure_logging
    configure_logging("gestaltd")


def _store(words: list[str]) -> int:
    _begin()
    from gestalt_host.daemon.store_commands import NOT_DONE, run_store_command

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
    tell(f"gestaltd: {error}")
    return 1
