"""Where the server's URL and the credentials come from: flags, environment, files, and which of them wins.

Owns the formats of ``config.json`` (user and project) and ``credentials.json``. Sends nothing.
"""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import orjson

from gestalt_host.cli.errors import CliError

PROJECT_FILE = Path(".gestalt") / "config.json"
KEYS = ("url",)
"""Keys that ``gestalt config`` reads and writes; others in a file are kept."""


@dataclass(frozen=True)
class ServerUrl:
    """A normalised base URL and, in words, where it was found."""

    url: str
    source: str


@dataclass(frozen=True)
class Credentials:
    """Content of ``credentials.json``; members are empty strings when absent."""

    api_token: str = ""
    api_token_id: str = ""
    api_url: str = ""


def config_directory(environ: Mapping[str, str]) -> Path:
    """Return the user's configuration directory; it need not exist.

    Raises:
        CliError: neither ``XDG_CONFIG_HOME`` nor a home directory is known.
    """
    if base := environ.get("XDG_CONFIG_HOME"):
        return Path(base) / "gestalt"
    if home := environ.get("HOME"):
        return Path(home) / ".config" / "gestalt"
    import pwd

    try:
        home = pwd.getpwuid(os.getuid()).pw_dir
    except KeyError:
        home = ""
    if not home:
        raise CliError("could not determine home directory")
    return Path(home) / ".config" / "gestalt"


def user_config_path(environ: Mapping[str, str]) -> Path:
    return config_directory(environ) / "config.json"


def credentials_path(environ: Mapping[str, str]) -> Path:
    return config_directory(environ) / "credentials.json"


def normalise_url(text: str) -> str:
    """Return the URL without blanks and trailing slashes, with a scheme: http for this machine, else https.

    Raises:
        CliError: no host, or a scheme other than http and https.
    """
    scheme, mark, rest = text.strip().partition("://")
    if not mark:
        scheme, rest = "", scheme
    rest = rest.rstrip("/")
    host = _host(f"//{rest}")
    if not host:
        raise CliError(f"invalid server URL '{text}': it names no host; expected for example http://localhost:8080")
    if scheme not in ("", "http", "https"):
        raise CliError(f"invalid server URL '{text}': scheme '{scheme}' is not http or https")
    return f"{scheme or ('http' if _is_loopback(host) else 'https')}://{rest}"


def _host(url: str) -> str:
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018 - the property checks the port
        return parts.hostname or ""
    except ValueError:
        return ""


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def is_loopback_url(url: str) -> bool:
    """Return whether ``url`` names this machine."""
    return _is_loopback(_host(url))


# --- files ------------------------------------------------------------------------------------------------------------


def load_user_config(environ: Mapping[str, str]) -> dict[str, str]:
    """Read the user-level ``config.json``; empty when there is none.

    Raises:
        CliError: unreadable, not a JSON object, or a value that is not a string.
    """
    path = user_config_path(environ)
    try:
        return _strings(path.read_bytes())
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise CliError(f"failed to read config file {path}: {reason(error)}") from error
    except ValueError as error:
        raise CliError(f"failed to parse config file: {error} (in {path})") from error


def save_user_config(environ: Mapping[str, str], values: Mapping[str, str]) -> Path:
    path = user_config_path(environ)
    _write(path, _pretty(dict(values)))
    return path


def load_credentials(environ: Mapping[str, str]) -> Credentials | None:
    """Read the stored credentials, None when there are none.

    Raises:
        CliError: the file cannot be read or is not what ``auth login`` writes.
    """
    path = credentials_path(environ)
    try:
        values = orjson.loads(path.read_bytes())
    except FileNotFoundError:
        return None
    except OSError as error:
        raise CliError(f"failed to read credentials file {path}: {reason(error)}") from error
    except ValueError as error:
        raise CliError(f"failed to parse credentials file: {error} (in {path})") from error
    if not isinstance(values, dict):
        raise CliError(f"failed to parse credentials file: expected a JSON object (in {path})")
    members = {name: values.get(name) or "" for name in ("api_token", "api_token_id", "api_url")}
    for name, value in members.items():
        if not isinstance(value, str):
            raise CliError(f"failed to parse credentials file: {name} is not a string (in {path})")
    return Credentials(**members)


def save_credentials(environ: Mapping[str, str], credentials: Credentials) -> Path:
    """Write ``credentials.json`` readable for the user only, also when the file existed with a wider mode."""
    path = credentials_path(environ)
    values = {"api_token": credentials.api_token, "api_token_id": credentials.api_token_id}
    if credentials.api_url:
        values["api_url"] = credentials.api_url
    _write(path, _pretty(values), mode=0o600)
    return path


def delete_credentials(environ: Mapping[str, str]) -> None:
    path = credentials_path(environ)
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise CliError(f"failed to remove credentials file {path}: {reason(error)}") from error


def save_project_config(directory: Path, url: str) -> Path:
    path = directory / PROJECT_FILE
    _write(path, _pretty({"url": url}) + b"\n")
    return path


def _pretty(values: dict[str, str]) -> bytes:
    return orjson.dumps(values, option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS)


def _write(path: Path, content: bytes, *, mode: int | None = None) -> None:
    """Write through a neighbour file, so that a crash leaves the old content or the new one."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # A link keeps pointing where its owner put it: the file behind it is replaced.
        target = path.resolve()
        fresh = target.with_name(f".{target.name}.{os.getpid()}")
        fresh.unlink(missing_ok=True)  # left by a process of the same number that was killed
        try:
            wanted = 0o666 if mode is None else mode
            with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, wanted), "wb") as file:
                file.write(content)
            fresh.replace(target)
        finally:
            fresh.unlink(missing_ok=True)
    except OSError as error:
        raise CliError(f"failed to write {path}: {reason(error)}") from error


def _strings(content: bytes) -> dict[str, str]:
    values: Any = orjson.loads(content)
    if not isinstance(values, dict):
        raise ValueError("expected a JSON object")
    for key, value in values.items():
        if not isinstance(value, str):
            raise ValueError(f"the value of '{key}' is not a string")
    return values


def reason(error: OSError) -> str:
    """Return what went wrong, without the path, which the message around it names."""
    return error.strerror or str(error)


# --- precedence -------------------------------------------------------------------------------------------------------


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
    if directory is not None and (project := _project_url(directory)) is not None:
        return project
    if (stored := load_user_config(environ).get("url")) is not None:
        return ServerUrl(normalise_url(stored), f"global config ({user_config_path(environ)})")
    return None


def server_for_requests(flag: str | None, environ: Mapping[str, str], directory: Path | None) -> ServerUrl:
    """Return what ``find_server`` finds, then the credentials' URL, unless ``GESTALT_API_KEY`` replaces them.

    Raises:
        CliError: no source has a URL, or the winning one is malformed.
    """
    if (found := find_server(flag, environ, directory)) is not None:
        return found
    if not environ.get("GESTALT_API_KEY") and (stored := load_credentials(environ)) and stored.api_url.strip():
        return ServerUrl(normalise_url(stored.api_url), f"stored credentials ({credentials_path(environ)})")
    raise CliError(
        "no URL configured: use --url, GESTALT_URL, .gestalt/config.json, "
        f"or the user-local config file at {user_config_path(environ)}"
    )


def _project_url(directory: Path) -> ServerUrl | None:
    for parent in (directory, *directory.parents):
        path = parent / PROJECT_FILE
        try:
            content = path.read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            continue
        except IsADirectoryError as error:
            raise CliError(f"project config path {path} exists but is not a file") from error
        except OSError as error:
            raise CliError(f"failed to read project config {path}: {reason(error)}") from error
        try:
            values = _strings(content)
        except ValueError as error:
            raise CliError(f"failed to parse project config {path}: {error}") from error
        if "url" in values:
            return ServerUrl(normalise_url(values["url"]), f"project config ({path})")
    return None
