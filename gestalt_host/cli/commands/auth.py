"""``gestalt auth`` and ``gestalt init``: login, logout, status, first steps."""

from __future__ import annotations

import click

from gestalt_host.cli import login, prompts, servers, settings
from gestalt_host.cli.api import Api, login_supported, path_of
from gestalt_host.cli.errors import CliError
from gestalt_host.cli.grammar import GestaltCommand, Group
from gestalt_host.cli.session import CommandSession, not_sent, token_for
from gestalt_host.cli.urls import normalise_url

DEFAULT_URL = "http://localhost:8080"


@click.command(cls=Group)
def auth() -> None:
    """Log in, log out, and see where requests go"""


@auth.command("login")
@click.pass_obj
def login_command(session: CommandSession) -> None:
    """Log in with a browser and store an API token"""
    _log_in(session, None)


def _log_in(session: CommandSession, url: str | None) -> None:
    if session.token_in_environment:
        raise CliError(
            "GESTALT_API_KEY is set in your environment and takes priority over stored CLI credentials. "
            "Unset it before logging in, or use the API key directly."
        )
    if url is None:
        url = session.require_server().url
    try:
        supported = login_supported(url)
    except CliError:
        supported = True  # the login request itself says what is wrong
    if not supported:
        raise CliError("authentication is disabled on this server")
    token_id, token = login.through_browser(session.output, url)
    settings.save_credentials(session.environ, settings.Credentials(token, token_id, url))
    session.output.done("Logged in successfully. Stored CLI API token.")


@auth.command("logout")
@click.pass_obj
def logout(session: CommandSession) -> None:
    """Revoke the stored API token and remove it"""
    try:
        stored = session.load_credentials()
    except CliError as error:
        session.output.warn(
            f"Stored credentials could not be read; removing them locally without remote revoke: {error.message}"
        )
        stored = None
    if stored is not None and stored.api_token_id:
        _revoke(session, stored)
    settings.delete_credentials(session.environ)
    session.output.done("Logged out. Credentials removed.")


def _revoke(session: CommandSession, stored: settings.Credentials) -> None:
    token_id = stored.api_token_id
    try:
        if not (url := servers.home_of(stored)):
            session.output.warn(f"Stored CLI token {token_id} has no associated URL; removing it locally only.")
            return
        Api(url, stored.api_token).delete(path_of("tokens", token_id))
    except CliError as error:
        session.output.warn(f"Failed to revoke stored CLI token {token_id}: {error.message}")


# --- status -----------------------------------------------------------------------------------------------------------


@auth.command("status")
@click.pass_obj
def status(session: CommandSession) -> None:
    """Show the server, whether it answers, and which credentials are used"""
    output = session.output
    path = settings.credentials_path(session.environ)
    warnings: list[str] = []
    try:
        server = session.find_server()
    except CliError as error:
        server = None
        warnings.append(error.message)
    supported: bool | None = None
    reachable: bool | None = None
    if server is not None and server.refusal:
        warnings.append(server.refusal)
    elif server is not None:
        try:
            supported = login_supported(server.url)
            reachable = True
        except CliError:
            reachable = False
    in_environment = bool(session.token_in_environment)
    stored = usable = False
    if in_environment:
        stored = path.exists()
        if stored:
            warnings.append(
                "Stored CLI credentials also exist but are being ignored. Unset GESTALT_API_KEY to use them."
            )
    else:
        try:
            credentials = session.load_credentials()
            stored = credentials is not None and bool(credentials.api_token)
            if credentials is not None and stored and server is not None:
                usable = bool(token_for(credentials, server.url))
                if not usable and not server.refusal:
                    warnings.append(f"For this server there is no token: {not_sent(credentials, server)}.")
            else:
                usable = stored
        except CliError as error:
            warnings.append(f"Stored CLI credentials could not be read: {error.message}")

    if output.as_json:
        output.json(
            {
                "authenticated": in_environment or usable,
                "envVarSet": in_environment,
                "loginSupported": supported,
                "serverReachable": reachable,
                "serverUrl": server.shown if server is not None else None,
                "source": "env" if in_environment else "api_token" if usable else "none",
                "storedCredentials": stored,
                "urlSource": server.place if server is not None else None,
            }
        )
        return
    if server is None:
        output.say("Server:      not configured")
    else:
        output.say(f"Server:      {server.shown}")
        output.say(f"URL source:  {server.place}")
        if reachable is not None:
            output.say(f"Reachable:   {'yes' if reachable else 'no'}")
        if supported is not None:
            output.say(f"Auth:        {'login supported' if supported else 'disabled'}")
    kind = "GESTALT_API_KEY set" if in_environment else "stored CLI token" if usable else "none"
    output.say(f"Credentials: {kind}")
    for warning in warnings:
        output.warn(warning)
    if server is None:
        output.say("\nRun 'gestalt init' or set GESTALT_URL to configure a server.")
    elif kind == "none" and supported is not False and not server.refusal:
        output.say("\nRun 'gestalt auth login' or set GESTALT_API_KEY to authenticate.")


# --- init -------------------------------------------------------------------------------------------------------------


def _default_url(session: CommandSession) -> str:
    try:
        return session.require_server().url
    except CliError:
        pass  # a project names a server that the user has not, a file is broken, or there is none yet
    try:
        users = servers.users_server(session.environ)
    except CliError:
        users = None
    return DEFAULT_URL if users is None else users.url


@click.command("init", cls=GestaltCommand)
@click.pass_obj
def init(session: CommandSession) -> None:
    """Set up the server URL and log in, step by step"""
    output = session.output
    output.say("Welcome to Gestalt! Let's get you set up.\n")
    url = normalise_url(prompts.text("API server URL", default=_default_url(session)))
    settings.save_user_config(session.environ, {**settings.load_user_config(session.environ), "url": url})
    output.say("Saved to global config.\n")
    try:
        supported = login_supported(url)
    except CliError:
        supported = True
    if not supported:
        output.say("Authentication is disabled on this server; skipping login.\n")
    elif prompts.confirm("Log in now?", default=True):
        _log_in(session, url)
    directory = session.directory
    if prompts.confirm("Create .gestalt/config.json in current directory?", default=False):
        if directory is None:
            raise CliError("the current directory does not exist any more")
        settings.save_project_config(directory, url)
        output.say("Created .gestalt/config.json")
    output.say("\nYou're all set! Run 'gestalt --help' to see available commands.")
