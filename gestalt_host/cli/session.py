"""What the commands of one invocation share: global options, the environment, the output and the server."""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from gestalt_host.cli import settings
from gestalt_host.cli.api import Api, login_supported
from gestalt_host.cli.errors import CliError
from gestalt_host.cli.output import Output


class CommandSession:
    """One invocation of ``gestalt``; the global options arrive while arguments are read, the innermost last."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self.environ = environ
        self.format = "table"
        self.url_flag: str | None = None

    @cached_property
    def output(self) -> Output:
        return Output(self.format, self.environ)

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

    def find_server(self) -> settings.ServerUrl | None:
        """Return the server of ``--url``, environment or configuration files; None when none names one."""
        return settings.find_server(self.url_flag, self.environ, self.directory)

    def require_server(self) -> settings.ServerUrl:
        """Return what ``find_server`` finds, or the stored credentials' server."""
        return settings.server_for_requests(self.url_flag, self.environ, self.directory)

    def api(self) -> Api:
        """Return the server to ask, with the token of the environment, the stored one, or none where none is needed.

        Raises:
            CliError: no server is configured, or it has a login and there is no token.
        """
        server = self.require_server()
        if token := self.token_in_environment:
            return Api(server.url, token, token_source="env", url_source=server.source)
        stored = settings.load_credentials(self.environ)
        if stored is not None and stored.api_token:
            return Api(server.url, stored.api_token, token_source="file", url_source=server.source)
        try:
            needs_token = login_supported(server.url, url_source=server.source)
        except CliError as error:
            raise CliError(f"failed to determine authentication mode for {server.url}: {error.message}") from error
        if needs_token:
            raise CliError("not authenticated: set GESTALT_API_KEY or run 'gestalt auth login'")
        return Api(server.url, url_source=server.source)


def set_format(ctx: Any, param: Any, value: str | None) -> None:
    """Keep the format of the innermost level that names one; an option callback."""
    if value is not None:
        session_of(ctx).format = value


def set_url(ctx: Any, param: Any, value: str | None) -> None:
    """Keep the URL of the innermost level that names one; an option callback."""
    if value is not None:
        session_of(ctx).url_flag = value


def session_of(ctx: Any) -> CommandSession:
    root = ctx.find_root()
    if root.obj is None:
        root.obj = CommandSession(os.environ)
    return root.obj
