"""Package repositories: the one that is built in, those of the user, those of the configuration (packaging.md 9)."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import yaml

from gestalt_host.config.files import MOST_BYTES
from gestalt_host.config.model import Repository
from gestalt_host.config.reader import Block
from gestalt_host.config.sources import check_repository_name
from gestalt_host.packages.downloads.cache import user_directory
from gestalt_host.packages.downloads.urls import origin, shown, with_password_of
from gestalt_host.packages.errors import PackageInvalid
from gestalt_host.packages.releases.documents import read_file, read_yaml

FILE_NAME = "provider-repositories.yaml"
SCHEMES = ("http", "https", "file")


BUILTIN = Repository(
    "valon", "https://raw.githubusercontent.com/valon-technologies/gestalt-providers/main/provider-index.yaml"
)


class UserRepositories:
    """The repositories that a user keeps for all configurations, in a file that only this user can read.

    Args:
        path: The file; None for a user without a home, who has none.
    """

    def __init__(self, path: Path | None) -> None:
        self.path = path

    @classmethod
    def of_user(cls, environ: Mapping[str, str]) -> UserRepositories:
        """Return those in ``${XDG_CONFIG_HOME:-~/.config}/gestalt/provider-repositories.yaml``."""
        directory = user_directory(environ, "XDG_CONFIG_HOME", ".config")
        return cls(directory / FILE_NAME if directory is not None else None)

    def read(self) -> dict[str, Repository]:
        """Return them by name; none where there is no file.

        Raises:
            PackageInvalid: naming the file and every fault.
        """
        if self.path is None or not self.path.exists():
            return {}
        data = read_file(self.path, MOST_BYTES)
        # An emptied file holds no repository; as a document it would be a fault.
        return read_yaml(data, str(self.path), "provider repositories", MOST_BYTES, _read) if data.strip() else {}

    def write(self, repositories: Mapping[str, Repository]) -> None:
        """Put these in the place of those that are there, at once.

        Raises:
            PackageInvalid: the file cannot be written.
        """
        if self.path is None:
            raise PackageInvalid("the user has no home directory; set XDG_CONFIG_HOME to where repositories are kept")
        document = {"repositories": {name: _written(one) for name, one in sorted(repositories.items())}}
        try:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            path = self.path.resolve()  # where the file is a link, it stays one
            descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{FILE_NAME}.")  # with mode 0600
            temporary = Path(name)
            try:
                with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                    yaml.safe_dump(document, file, allow_unicode=True, width=1000)
                    file.flush()
                    os.fsync(file.fileno())
                temporary.replace(path)
            except BaseException:
                temporary.unlink()
                raise
        except OSError as error:
            raise PackageInvalid(f"{self.path}: {(error.strerror or str(error)).lower()}") from error


def check_repository_url(text: str) -> None:
    """Raise ``PackageInvalid`` unless the text is the URL that an index can have."""
    scheme = urlsplit(text).scheme
    if not scheme:
        raise PackageInvalid(f'invalid provider repository URL "{shown(text)}": scheme is required')
    if scheme not in SCHEMES:
        accepted = ", ".join(SCHEMES)
        raise PackageInvalid(f'invalid provider repository URL "{shown(text)}": accepted schemes are {accepted}')


def all_repositories(configured: Mapping[str, Repository], user: Mapping[str, Repository]) -> dict[str, Repository]:
    """Return every repository by name, in the order in which they are asked.

    One of the configuration goes before the user's of the same name, and that before the built-in one. The user's
    token, and a password in the user's URL, goes along only to the origin that the user has stored it for: whoever
    writes a configuration must not get it by naming another server.
    """
    found = {BUILTIN.name: BUILTIN, **user}
    for name, one in configured.items():
        known = user.get(name)
        if known is not None and not one.token and known.token and origin(known.url) == origin(one.url):
            one = replace(one, token=known.token)
        if known is not None:
            one = replace(one, url=with_password_of(one.url, known.url))
        found[name] = one
    return found


def _read(block: Block) -> dict[str, Repository]:
    found = {}
    with block:
        for name, item in block.entries("repositories"):
            check_repository_name(name, item, "")
            with item:
                url = item.text("url", required=True)
                found[name] = Repository(name, url, item.text("token"))
                try:
                    if url:
                        check_repository_url(url)
                except PackageInvalid as error:
                    item.fault("url", str(error))
    return found


def _written(repository: Repository) -> dict[str, str]:
    return {"url": repository.url} | ({"token": repository.token} if repository.token else {})
