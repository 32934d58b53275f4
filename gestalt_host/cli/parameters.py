"""The ``key=value`` and ``key:=json`` syntax of ``-p``, ``--data`` and ``-e``, and JSON files beside them."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

from gestalt_host.cli import json_input
from gestalt_host.cli.errors import BadInput, CliError
from gestalt_host.cli.json_lists import JsonValue
from gestalt_host.cli.settings import reason


def parse_pair(text: str) -> tuple[str, JsonValue]:
    """Split ``key=value`` (a string) or ``key:=json``, whichever separator starts first; the key is taken literally.

    Raises:
        ValueError: no separator, an empty key, a value that is not JSON or holds an integer that would arrive changed.
    """
    equals, json_mark = text.find("="), text.find(":=")
    if equals < 0:
        raise ValueError(f"invalid param: no '=' or ':=' found in '{text}'")
    if 0 <= json_mark < equals:
        if json_mark == 0:
            raise ValueError(f"invalid KEY:=JSON: empty key in '{text}'")
        try:
            return text[:json_mark], json_input.exact(text[json_mark + 2 :], text[:json_mark])
        except json_input.InexactInteger as error:
            raise ValueError(f"invalid number in '{text}': {error}") from error
        except ValueError as error:
            raise ValueError(f"invalid JSON in '{text}': {error}") from error
    if equals == 0:
        raise ValueError(f"invalid KEY=VALUE: empty key in '{text}'")
    return text[:equals], text[equals + 1 :]


def gather(pairs: Iterable[tuple[str, JsonValue]]) -> dict[str, list[JsonValue]]:
    """Return all values of each key, in order of appearance."""
    gathered: dict[str, list[JsonValue]] = {}
    for key, value in pairs:
        gathered.setdefault(key, []).append(value)
    return gathered


def merged(gathered: Mapping[str, list[JsonValue]], types: Mapping[str, str] | None = None) -> dict[str, JsonValue]:
    """Return one value for each key: the value itself, or all of them as an array when the key was repeated.

    Args:
        types: Parameter types from an operation's catalogue entry: a single value of an ``array`` parameter is
            wrapped, and a known parameter of another type must not be repeated.

    Raises:
        CliError: such a parameter was repeated.
    """
    result: dict[str, JsonValue] = {}
    for key, values in gathered.items():
        declared = (types or {}).get(key)
        if len(values) > 1 and declared not in (None, "array"):
            raise CliError(f"parameter '{key}' is not an array type but was specified multiple times")
        wrap = declared == "array" and not isinstance(values[0], list)
        result[key] = values if len(values) > 1 or wrap else values[0]
    return result


def read_object(file: str) -> dict[str, JsonValue]:
    """Read the JSON object in ``file``; ``-`` is standard input.

    Raises:
        CliError: unreadable, not JSON, or another kind of JSON value.
        BadInput: an integer in it would arrive as another one.
    """
    if file == "-":
        try:
            content = sys.stdin.buffer.read()
        except (OSError, ValueError) as error:
            raise CliError(f"failed to read from stdin: {error}") from error
    else:
        try:
            content = Path(file).read_bytes()
        except OSError as error:
            raise CliError(f"failed to read input file '{file}': {reason(error)}") from error
        except ValueError as error:
            raise CliError(f"failed to read input file '{file}': {error}") from error
    try:
        value = json_input.exact(content)
    except json_input.InexactInteger as error:
        place = "standard input" if file == "-" else f"'{file}'"
        raise BadInput(f"invalid input in {place}: {error}") from error
    except ValueError as error:
        raise CliError(f"failed to parse input file as JSON: {error}") from error
    if not isinstance(value, dict):
        raise CliError("input file must contain a JSON object")
    return value


def input_of(
    pairs: Iterable[tuple[str, JsonValue]], file: str | None, types: Mapping[str, str] | None = None
) -> dict[str, JsonValue]:
    """Return the file's members, each overridden as a whole by a flag of the same name."""
    flags = merged(gather(pairs), types)
    return ({} if file is None else read_object(file)) | flags
