"""`gestaltd provider search` and `info`: what the repositories offer."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

from gestalt_host.config import find_config
from gestalt_host.config.model import Repository
from gestalt_host.daemon.commands import load_config
from gestalt_host.daemon.console import show
from gestalt_host.daemon.errors import CommandFailed
from gestalt_host.daemon.locking.installing import source_context
from gestalt_host.daemon.options import Options
from gestalt_host.daemon.provider.changes import run_work
from gestalt_host.packages.errors import PackageInvalid
from gestalt_host.packages.releases.index import IndexedPackage
from gestalt_host.packages.releases.resolve import SourceContext
from gestalt_sdk.common.printable import printable

_OPTIONS = """\
Options:
  --repo NAME    Only this repository.
  --config PATH  Configuration file, as for serve; its repositories are asked too.
  -h, --help     This text.
"""
HELP = {
    "search": f"""\
Find packages in the repositories: one line for each, repository, package and name, parted by tabs. QUERY is any part of
a package's address, name or description, in whatever case; without one every package is listed.

Usage:
  gestaltd provider search [--repo NAME] [--config PATH] [QUERY]...

{_OPTIONS}""",
    "info": f"""\
Show a package of the first repository that has it, and below it each version: its kind, runtime and metadata.

Usage:
  gestaltd provider info [--repo NAME] [--config PATH] PACKAGE

{_OPTIONS}""",
}


def search(options: Options, environ: Mapping[str, str]) -> None:
    """Print the packages that match the words given.

    Raises:
        CommandFailed: a repository cannot be read.
    """
    query = " ".join(options.arguments).strip().lower()
    lines: list[str] = []

    async def work(context: SourceContext) -> None:
        asked = _asked(context, options)
        for repository in asked:
            packages = await context.index(repository, "", "search")
            if isinstance(packages, PackageInvalid):
                others = ", ".join(other.name for other in asked if other is not repository)
                hint = f"; --repo NAME searches one alone: {others}" if others else ""
                raise CommandFailed(f"search provider repo {repository.name}: {packages}{hint}")
            for package in packages.values():
                texts = (package.address, package.display_name, package.description)
                if any(query in text.lower() for text in texts):
                    lines.append(_row(repository.name, package.address, package.display_name))

    _ask(options, environ, work)
    if lines:
        show("\n".join(lines))


def info(options: Options, environ: Mapping[str, str]) -> None:
    """Print the versions of a package.

    Raises:
        CommandFailed: no repository has it.
    """
    address = options.arguments[0]
    lines: list[str] = []

    async def work(context: SourceContext) -> None:
        unread = []
        for repository in _asked(context, options):
            packages = await context.index(repository, "", "info")
            if isinstance(packages, PackageInvalid):
                unread.append(f"; repository {repository.name}: {packages}")
            elif address in packages:
                lines.extend(_lines(repository, packages[address]))
                return
        raise CommandFailed(f'provider package "{address}" not found{"".join(unread)}')

    _ask(options, environ, work)
    show("\n".join(lines))


def _ask(options: Options, environ: Mapping[str, str], work: Callable[[SourceContext], Awaitable[None]]) -> None:
    config = load_config(options, find_config(options.all("config"), environ), environ, static=True, tokens=False)

    async def asking() -> None:
        async with source_context(config, environ) as context:
            await work(context)

    run_work(asking)


def _asked(context: SourceContext, options: Options) -> list[Repository]:
    """Return the repositories in the order in which they are asked; none where the one that is named is not known."""
    name = options.last("repo")
    return [repository for repository in context.repositories.values() if name in ("", repository.name)]


def _lines(repository: Repository, package: IndexedPackage) -> list[str]:
    versions = [
        f"  {_row(text, one.kind, one.runtime, one.metadata)}" for text, one in sorted(package.versions.items())
    ]
    return [_row(repository.name, package.address, package.display_name), *versions]


def _row(*cells: str) -> str:
    return "\t".join(printable(cell) for cell in cells)
