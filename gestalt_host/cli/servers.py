"""Find which server is asked: by flag, environment or file, and what a project may name. Sends nothing."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from gestalt_host.cli import settings
from gestalt_host.cli.errors import CliError
from gestalt_host.cli.urls import concealed, normalise_url, same_server
from gestalt_sdk.common.texts import cut

_SHOWN = 512
"""Bytes of a URL of a project that an error shows."""


@dataclass(frozen=True)
class ServerUrl:
    """A normalised base URL and, in words, where it was found.

    ``refusal`` says why it is not asked: a project's file names it, and the user has never named it. Empty otherwise.
    """

    url: str
    source: str
    refusal: str = ""

    @property
    def shown(self) -> str:
        return concealed(self.url)

    @property
    def place(self) -> str:
        """Where it was found, and whether that is of use."""
        return f"{self.source}, not allowed" if self.refusal else self.source


def find_server(flag: str | None, environ: Mapping[str, str], directory: Path | None) -> ServerUrl | None:
    """Return the first of: ``--url``, ``GESTALT_URL``, the nearest project file, the user's ``config.json``.

    Args:
        directory: Where the search for a project file starts; None when the working directory is gone.

    Raises:
        CliError: the winning source is malformed; a later one does not stand in for it.
    """
    if flag is not None:
        return ServerUrl(normalise_url(flag), "--url flag")
    if (value := environ.get("GESTALT_URL", "")).strip():
        return ServerUrl(normalise_url(value), "GESTALT_URL environment variable")
    if directory is not None and (project := project_server(environ, directory)) is not None:
        return project
    return users_server(environ)


def users_server(environ: Mapping[str, str]) -> ServerUrl | None:
    """Return the server of the user's ``config.json``, None when it has none.

    Raises:
        CliError: the file cannot be used, or the URL is none.
    """
    if (stored := settings.load_user_config(environ).get("url")) is None:
        return None
    return ServerUrl(normalise_url(stored), f"global config ({settings.user_config_path(environ)})")


def project_server(environ: Mapping[str, str], directory: Path) -> ServerUrl | None:
    """Return the server of the nearest project file that has one, looking upwards from ``directory``.

    Whoever writes a project decides what its file says, so its URL counts only where the user has named that server.

    Raises:
        CliError: the file cannot be used, or the URL is none.
    """
    if (found := settings.find_project_url(directory)) is None:
        return None
    text, path = found
    url = normalise_url(text)
    source = f"project config ({path})"
    for known in _known(environ):
        if same_server(known, url):
            return ServerUrl(known, source)
    shown = concealed(url)
    # What is concealed or cut is not to be copied.
    advice = shlex.quote(url) if url == shown and len(url) <= _SHOWN else "URL"
    refusal = (
        f"{path} names the server {cut(shown, _SHOWN)}, which you have not named yourself; nothing was sent to it. "
        f"If you trust it: gestalt config set url {advice}"
    )
    return ServerUrl(url, source, refusal)


def _known(environ: Mapping[str, str]) -> Iterator[str]:
    """Yield the servers that the user has named: in the own configuration, and by logging in."""
    try:
        if (users := users_server(environ)) is not None:
            yield users.url
    except CliError:
        pass  # a file that cannot be used vouches for nothing
    try:
        if (stored := settings.load_credentials(environ)) is not None and (url := home_of(stored)):
            yield url
    except CliError:
        pass


def home_of(stored: settings.Credentials) -> str:
    """Return the server that the stored token was made for, normalised; empty when the file does not say.

    Raises:
        CliError: what it says is no URL.
    """
    try:
        return normalise_url(stored.api_url) if stored.api_url.strip() else ""
    except CliError as error:
        raise CliError(f"{error.message} (api_url of the stored credentials)") from error


def server_for_requests(flag: str | None, environ: Mapping[str, str], directory: Path | None) -> ServerUrl:
    """Return what ``find_server`` finds, then the credentials' URL, unless ``GESTALT_API_KEY`` replaces them.

    Raises:
        CliError: no source has a URL, the winning one is malformed, or a project names a server that the user has not.
    """
    if (found := find_server(flag, environ, directory)) is not None:
        if found.refusal:
            raise CliError(found.refusal)
        return found
    if not environ.get("GESTALT_API_KEY") and (stored := settings.load_credentials(environ)) and stored.api_url.strip():
        return ServerUrl(home_of(stored), f"stored credentials ({settings.credentials_path(environ)})")
    raise CliError(
        "no URL configured: use --url, GESTALT_URL, .gestalt/config.json, "
        f"or the user-local config file at {settings.user_config_path(environ)}"
    )
