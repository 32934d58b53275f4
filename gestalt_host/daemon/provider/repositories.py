"""`gestaltd provider repo`: which repositories there are, the user's own or those of a configuration."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from gestalt_host.config import find_config
from gestalt_host.config.editing import with_value, without
from gestalt_host.config.model import Repository
from gestalt_host.config.sources import ACCEPTED_REPOSITORY, is_repository_name
from gestalt_host.daemon.commands import load_config
from gestalt_host.daemon.console import show
from gestalt_host.daemon.errors import CommandFailed
from gestalt_host.daemon.locking.installing import source_context
from gestalt_host.daemon.options import Options
from gestalt_host.daemon.provider.changes import ConfigFile, run_work
from gestalt_host.packages.downloads.cache import user_directory
from gestalt_host.packages.downloads.urls import shown
from gestalt_host.packages.errors import PackageInvalid
from gestalt_host.packages.releases.index import fetch_index, read_index
from gestalt_host.packages.releases.repositories import UserRepositories, all_repositories, check_repository_url
from gestalt_sdk.common.printable import printable

_SECTION = "providerRepositories"
_WHERE = """\
Without --config it is one of the user's, for every configuration: $XDG_CONFIG_HOME/gestalt/provider-repositories.yaml,
else ~/.config/gestalt/provider-repositories.yaml. With --config it is one of that file, under providerRepositories.

Options:
  --config PATH  The one configuration file that is changed.
  -h, --help     This text.
"""
HELP = {
    "add": f"""\
Name a repository: the http, https or file URL of its index. One of the same name is replaced.

Usage:
  gestaltd provider repo add [--config PATH] NAME URL

{_WHERE}""",
    "remove": f"""\
Forget a repository. One that is not there is no error.

Usage:
  gestaltd provider repo remove [--config PATH] NAME

{_WHERE}""",
    "list": """\
List the repositories, name and URL parted by a tab: the built-in one, the user's and those of the configuration.

Usage:
  gestaltd provider repo list [--config PATH]

Options:
  --config PATH  Configuration file, as for serve.
  -h, --help     This text.
""",
    "update": """\
Fetch the index of every repository, check it, and keep a copy in $XDG_CACHE_HOME/gestalt/provider-repositories, else
~/.cache/gestalt/provider-repositories. Nothing reads the copies: a package is always looked for where it is published.

Usage:
  gestaltd provider repo update [--config PATH]

Options:
  --config PATH  Configuration file, as for serve.
  -h, --help     This text.
""",
}
HELP["list_all"] = HELP["list"]


def add(options: Options, environ: Mapping[str, str]) -> None:
    """Name a repository.

    Raises:
        CommandFailed: the name or URL is not accepted, or the file cannot be changed.
    """
    name, url = options.arguments
    if not is_repository_name(name):
        raise CommandFailed(f"{name!r} is not a repository name; {ACCEPTED_REPOSITORY}")
    try:
        check_repository_url(url)
    except PackageInvalid as error:
        raise CommandFailed(str(error)) from error
    if options.all("config"):
        file = ConfigFile.read(options, environ, tokens=False)
        text, _ = file.changed(lambda old: with_value(old, (_SECTION, name, "url"), url), environ, tokens=False)
        file.write(text, None, lock_first=False)
        return
    store, known = _of_user(environ)
    # A token is for the server that it was stored for; that of another URL is stored anew.
    same = known.get(name)
    known[name] = replace(same, url=url) if same is not None and same.url == url else Repository(name, url)
    _write(store, known)


def remove(options: Options, environ: Mapping[str, str]) -> None:
    """Forget a repository; one that is not there is no error.

    Raises:
        CommandFailed: the file cannot be changed.
    """
    (name,) = options.arguments
    if options.all("config"):
        file = ConfigFile.read(options, environ, tokens=False)
        if name in file.config.repositories:
            text, _ = file.changed(lambda old: without(old, (_SECTION, name)), environ, tokens=False)
            file.write(text, None, lock_first=False)
        return
    store, known = _of_user(environ)
    if known.pop(name, None) is not None:
        _write(store, known)


def list_all(options: Options, environ: Mapping[str, str]) -> None:
    """Print every repository."""
    config = load_config(options, find_config(options.all("config"), environ), environ, static=True, tokens=False)
    _, known = _of_user(environ)
    rows = all_repositories(config.repositories, known).values()
    show("\n".join(f"{one.name}\t{printable(shown(one.url))}" for one in rows))


def update(options: Options, environ: Mapping[str, str]) -> None:
    """Fetch every index and keep a copy; the first that cannot be had ends it.

    Raises:
        CommandFailed: naming the repository.
    """
    config = load_config(options, find_config(options.all("config"), environ), environ, static=True, tokens=False)
    above = user_directory(environ, "XDG_CACHE_HOME", ".cache")
    if above is None:
        raise CommandFailed("the user has no home directory; set XDG_CACHE_HOME to where copies are kept")
    directory = above / "provider-repositories"

    async def work() -> None:
        async with source_context(config, environ) as context:
            for one in context.repositories.values():
                try:
                    data = await fetch_index(one, context.fetcher, label="update")
                    read_index(data, shown(one.url))
                    _keep(directory / f"{one.name}.yaml", data)
                except (PackageInvalid, OSError) as error:
                    raise CommandFailed(f"update provider repo {one.name}: {error}") from error
                show(f"updated {one.name}")

    run_work(work)


def _of_user(environ: Mapping[str, str]) -> tuple[UserRepositories, dict[str, Repository]]:
    store = UserRepositories.of_user(environ)
    try:
        return store, store.read()
    except PackageInvalid as error:
        raise CommandFailed(str(error)) from error


def _write(store: UserRepositories, known: Mapping[str, Repository]) -> None:
    try:
        store.write(known)
    except PackageInvalid as error:
        raise CommandFailed(str(error)) from error


def _keep(path: Path, data: bytes) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink()
        raise
