"""`gestaltd provider logs`: what a provider of a running host wrote last, and what it writes."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Mapping, Sequence

from gestalt_host.daemon.console import show
from gestalt_host.daemon.errors import CommandFailed
from gestalt_host.daemon.options import Options
from gestalt_host.daemon.provider.control_client import LogEntry, all_providers, control_of
from gestalt_host.daemon.provider.hosts import HOST_OPTION, Name, chosen, running_hosts
from gestalt_host.supervisor.about import HOST
from gestalt_sdk.common.printable import printable

LINES = 100
HELP = f"""\
Print what a provider of a running host wrote last on its standard output and error, with where its processes began and
ended. The host keeps some of it in memory, since it was started.

Usage:
  gestaltd provider logs NAME [-f] [-n LINES|all] [--raw] [--host PID|URL|CONFIG]

NAME is that of a provider, KIND/NAME where it is not unique.

Each line has its time, the process and the stream; what is not printable is shown as its escape. With --raw there is
nothing but what the provider wrote, as it wrote it, for other programs.

Options:
  -f, --follow           Print what is written from now on too, across restarts, until the host ends (exit status 1).
  -n, --lines LINES|all  How many lines to begin with; without it {LINES}.
  --raw                  Lines alone, and as they are.
{HOST_OPTION}
  -h, --help             This text.
"""


def run(options: Options, environ: Mapping[str, str]) -> None:
    """Print the lines.

    Raises:
        CommandFailed: there is no such provider, it has no process, or the host ended while it was followed.
    """
    lines = _lines((*options.all("n"), *options.all("lines")))
    follow = bool(options.flags & {"f", "follow"})
    asyncio.run(_print(Name.of(options.arguments[0]), options.last("host"), lines, follow, "raw" in options.flags))


async def _print(name: Name, wanted: str, lines: int, follow: bool, raw: bool) -> None:
    host, provider = chosen(name, await all_providers(running_hosts(wanted)))
    if provider.kind == HOST:
        raise CommandFailed("the log of a host is its own standard error; NAME is that of a provider")
    async with control_of(host) as control:
        async for entry in control.log(provider.kind, provider.name, lines, follow):
            if not raw:
                show(_shown(entry))
            elif entry.stream:
                _write(entry.text)


def _shown(entry: LogEntry) -> str:
    """Return ``DATE TIME  PID  stream  text``, in local time; what the host says has dashes for a stream."""
    at = entry.at.astimezone().strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]
    if not entry.stream:
        return f"{at}  -- {printable(entry.text.decode())} --"
    text = printable(entry.text.decode("utf-8", "backslashreplace"))
    cut = " (cut)" if entry.is_cut else ""
    return f"{at}  {entry.pid}  {entry.stream}  {text}{cut}"


def _write(line: bytes) -> None:
    try:
        sys.stdout.buffer.write(line + b"\n")
        sys.stdout.buffer.flush()
    except OSError as error:
        raise CommandFailed(f"cannot write to standard output: {error.strerror or error}") from error


def _lines(given: Sequence[str]) -> int:
    text = given[-1] if given else str(LINES)
    if text == "all":
        return -1
    if not text.isdecimal():
        raise CommandFailed(f'-n is "{text}"; it takes a number, or all')
    return int(text)
