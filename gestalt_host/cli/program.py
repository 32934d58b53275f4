"""One command line, from its words to its exit code."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

import click

from gestalt_host.cli import streams
from gestalt_host.cli.errors import ApiError, CliError, OutputFailed
from gestalt_host.cli.grammar import HelpOnStderr
from gestalt_host.cli.output import Output
from gestalt_host.cli.root import root
from gestalt_host.cli.session import CommandSession


def run(args: Sequence[str] | None) -> int:
    """Run the command line (default: the process's own) and return its exit code."""
    session = CommandSession(os.environ)
    output = Output("table", os.environ, session.secrets)
    try:
        code = _run(args, session, output)
        sys.stdout.flush()
        return code
    except BrokenPipeError:
        # The reader of stdout went away, as in `gestalt … | head -1`.
        streams.discard_stdout()
        return 1
    except OutputFailed as error:
        streams.discard_stdout()
        output.fail(error.message)
        return 1


def _run(args: Sequence[str] | None, session: CommandSession, output: Output) -> int:
    try:
        outcome = root.main(
            args if args is None else list(args), prog_name="gestalt", standalone_mode=False, obj=session
        )
        return outcome if isinstance(outcome, int) else 0
    except (BrokenPipeError, OutputFailed, ModuleNotFoundError):
        raise
    except CliError as error:
        output.fail(error.message)
        if isinstance(error, ApiError) and error.request_id:
            # Of a refusal the answer says all, and the log need not know it; of a fault only the log knows the reason.
            output.say(f"  Request id: {error.request_id}" + (" (in the server's log)" if error.status == 500 else ""))
        return error.exit_code
    except HelpOnStderr as error:
        output.say(error.ctx.get_help() if error.ctx is not None else "")
        return 2
    except click.UsageError as error:
        _report_usage(error, output)
        return 2
    except click.ClickException as error:
        output.fail(error.format_message())
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        output.say("")
        return 130
    except Exception as error:
        output.fail(
            f"unexpected {type(error).__name__}: {error}\n  This is a fault of the gestalt command; please report it."
        )
        return 1


def _report_usage(error: click.UsageError, output: Output) -> None:
    output.fail(error.format_message())
    if tip := getattr(error, "tip", ""):
        output.say(f"\n  tip: {tip}")
    if error.ctx is not None and getattr(error, "show_usage", True):
        pieces = error.ctx.command.collect_usage_pieces(error.ctx)
        output.say(f"\nUsage: {error.ctx.command_path} {' '.join(pieces)}")
    output.say("\nFor more information, try '--help'.")
