"""``gestalt``: runs one command and turns its outcome into an exit code; no stack trace reaches the user.

Exit codes: 0 success, 1 the command failed, 2 the command line is wrong, 130 interrupted.
"""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Sequence

import click

from gestalt_host.cli.errors import CliError
from gestalt_host.cli.grammar import HelpOnStderr
from gestalt_host.cli.output import Output
from gestalt_host.cli.root import root
from gestalt_host.cli.session import CommandSession


def run(args: Sequence[str] | None = None) -> int:
    """Run one command line (default: the process's own) and return its exit code."""
    output = Output("table", os.environ)
    try:
        outcome = root.main(
            args if args is None else list(args),
            prog_name="gestalt",
            standalone_mode=False,
            obj=CommandSession(os.environ),
        )
        sys.stdout.flush()
        return outcome if isinstance(outcome, int) else 0
    except CliError as error:
        output.fail(error.message)
        return 1
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
    except BrokenPipeError:
        # The reader of stdout went away, as in `gestalt … | head -1`; nothing may be written at exit either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
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


def main() -> None:
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # answers are Unicode whatever the locale says
            stream.reconfigure(encoding="utf-8", errors="backslashreplace")
    sys.exit(run())


if __name__ == "__main__":
    main()
