"""The files of the command line, ``config.json`` (user and project) and ``credentials.json``: places and formats."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

from gestalt_host.cli import json_input, trusted_files
from gestalt_host.cli.errors import CliError

PROJECT_FILE = Path(".gestalt") / "config.json"
KEYS = ("url",)
"""Keys that ``gestalt config`` reads and writes; others in a file are kept."""


@dataclass(frozen=True)
class Credentials:
    """Content of ``credentials.json``; members are empty strings when absent."""

    api_token: str = field(default="", repr=False)
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
        raise CliError(
            "could not determine home directory: the user with id "
            f"{os.getuid()} has none; set HOME, or XDG_CONFIG_HOME to a folder for the files of gestalt"
        )
    return Path(home) / ".config" / "gestalt"


def user_config_path(environ: Mapping[str, str]) -> Path:
    return config_directory(environ) / "config.json"


def credentials_path(environ: Mapping[str, str]) -> Path:
    return config_directory(environ) / "credentials.json"


# --- files ------------------------------------------------------------------------------------------------------------


def load_user_config(environ: Mapping[str, str]) -> dict[str, str]:
    """Read the user-level ``config.json``; empty when there is none.

    Raises:
        CliError: unreadable, not a JSON object, or a value that is not a string.
    """
    path = user_config_path(environ)
    try:
        return _strings(trusted_files.read(path))
    except FileNotFoundError:
        return {}
    except trusted_files.WritableByOthers as error:
        raise CliError(f"config file {path} is not used: {error}") from error
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
        values = json_input.parsed(trusted_files.read(path))
    except FileNotFoundError:
        return None
    except trusted_files.WritableByOthers as error:
        raise CliError(f"credentials file {path} is not used: {error}") from error
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


def find_project_url(directory: Path) -> tuple[str, Path] | None:
    """Return the URL of the nearest ``.gestalt/config.json`` that has one, and that file, looking upwards.

    Raises:
        CliError: such a file is unreadable, malformed, or can be written by others.
    """
    for parent in (directory, *directory.parents):
        path = parent / PROJECT_FILE
        try:
            values = _strings(trusted_files.read(path))
        except (FileNotFoundError, NotADirectoryError):
            continue
        except IsADirectoryError as error:
            raise CliError(f"project config path {path} exists but is not a file") from error
        except trusted_files.WritableByOthers as error:
            raise CliError(f"project config {path} is not used: {error}") from error
        except OSError as error:
            raise CliError(f"failed to read project config {path}: {reason(error)}") from error
        except ValueError as error:
            raise CliError(f"failed to parse project config {path}: {error}") from error
        if "url" in values:
            return values["url"], path
    return None


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
    values: Any = json_input.parsed(content)
    if not isinstance(values, dict):
        raise ValueError("expected a JSON object")
    for key, value in values.items():
        if not isinstance(value, str):
            raise ValueError(f"the value of '{key}' is not a string")
    return values


def reason(error: OSError) -> str:
    """Return what went wrong, without the path, which the message around it names."""
    return error.strerror or str(error)
