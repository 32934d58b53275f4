"""What the commands of one invocation share: global options, the environment, the output and the server."""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from urllib.parse import urlsplit

import click

from gestalt_host.cli import servers, settings
from gestalt_host.cli.api import REQUEST_TIMEOUT_S, Api, login_supported
from gestalt_host.cli.errors import CliError
from gestalt_host.cli.output import Output
from gestalt_host.cli.urls import concealed, same_server


class CommandSession:
    """One invocation of ``gestalt``; the global options arrive while arguments are read, the innermost last."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self.environ = environ
        self.format = "table"
        self.url_flag: str | None = None
        self.timeout_s = REQUEST_TIMEOUT_S
        self.secrets: set[str] = set()
        """Return what errors and warnings of this invocation do not show."""
        self.keep_secret(self.token_in_environment)

    @cached_property
    def output(self) -> Output:
        return Output(self.format, self.environ, self.secrets)

    def keep_secret(self, text: str) -> str:
        """Remember what errors and warnings must not show; returns it."""
        self.secrets.update({text, text.strip()} - {""})
        return text

    def load_credentials(self) -> settings.Credentials | None:
        """Return the stored credentials, whose token no error will show. Raises as the function of ``settings``."""
        stored = settings.load_credentials(self.environ)
        if stored is not None:
            self.keep_secret(stored.api_token)
        return stored

    @property
    def directory(self) -> Path | None:
        """The working directory, None when it no longer exists."""
        try:
            return Path.cwd()
        except OSError:
            return None

    @property
    def token_in_environment(self) -> str:
        return self.environ.get("GESTALT_API_KEY", "")

    def find_server(self) -> servers.ServerUrl | None:
        """Return the server of ``--url``, environment or configuration files; None when none names one."""
        return servers.find_server(self.url_flag, self.environ, self.directory)

    def require_server(self) -> servers.ServerUrl:
        """Return what ``find_server`` finds, or the stored credentials' server; never one that only a project names."""
        found = servers.server_for_requests(self.url_flag, self.environ, self.directory)
        self.keep_secret(urlsplit(found.url).password or "")
        return found

    def api(self) -> Api:
        """Return the server to ask, with the token of the environment, the stored one, or none where none is needed.

        Raises:
            CliError: no server is configured, or it has a login and there is no token.
        """
        server = self.require_server()
        if token := self.token_in_environment:
            return Api(server.url, token, token_source="env", timeout_s=self.timeout_s)
        stored = self.load_credentials()
        if stored is not None and (token := token_for(stored, server.url)):
            return Api(server.url, token, token_source="file", timeout_s=self.timeout_s)
        try:
            needs_token = login_supported(server.url)
        except CliError as error:
            raise CliError(f"failed to determine authentication mode for {server.shown}: {error.message}") from error
        if needs_token:
            elsewhere = f" ({not_sent(stored, server)})" if stored is not None and stored.api_token else ""
            raise CliError(f"not authenticated: set GESTALT_API_KEY or run 'gestalt auth login'{elsewhere}")
        return Api(server.url, timeout_s=self.timeout_s)


def token_for(stored: settings.Credentials, url: str) -> str:
    """Return the stored token if it was made for the server at ``url``, else nothing."""
    return stored.api_token if (home := servers.home_of(stored)) and same_server(home, url) else ""


def not_sent(stored: settings.Credentials, server: servers.ServerUrl) -> str:
    """Say why the stored token does not go to the server."""
    home = servers.home_of(stored)
    made_for = f"was made for {concealed(home)}" if home else "does not say for which server it was made"
    return f"the stored CLI token {made_for} and is not sent to {server.shown}"


def set_format(ctx: click.Context, param: click.Parameter, value: str | None) -> None:
    """Keep the format of the innermost level that names one; an option callback."""
    if value is not None:
        session_of(ctx).format = value


def set_url(ctx: click.Context, param: click.Parameter, value: str | None) -> None:
    """Keep the URL of the innermost level that names one; an option callback."""
    if value is not None:
        session_of(ctx).url_flag = value


def set_timeout(ctx: click.Context, param: click.Parameter, value: float | None) -> None:
    """Keep the timeout, in seconds, of the innermost level that names one; an option callback."""
    if value is not None:
        session_of(ctx).timeout_s = value


def session_of(ctx: click.Context) -> CommandSession:
    root = ctx.find_root()
    if root.obj is None:
        root.obj = CommandSession(os.environ)
    return root.obj
