"""What `gestaltd validate` finds beyond the configuration's own rules, once the packages that it names are known."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping, Sequence

from gestalt_host.access.keys import KEY_BYTES
from gestalt_host.config.errors import Problem
from gestalt_host.config.model import ACCEPTED_KEYS, HostConfig, OperationUse
from gestalt_host.errors import quoted
from gestalt_host.invocation.model import ConfiguredPlugin
from gestalt_host.packages.inputs import check_input

KEY = "server.encryptionKey"
_SHOWN = 20
_DIGITS = 2 * KEY_BYTES
_MISCOUNTED = range(_DIGITS - 8, _DIGITS + 9)
"""How many hexadecimal digits somebody has who meant to write all of a key."""


def operation_problems(config: HostConfig, plugins: Mapping[str, ConfiguredPlugin]) -> list[Problem]:
    """Return the operations that are named and do not exist, and the inputs that do not fit theirs.

    Args:
        plugins: Those whose catalogue is known; what names another one is not judged.
    """
    return [problem for use in config.uses if use.plugin in plugins for problem in _problems(use, plugins[use.plugin])]


def key_problems(config: HostConfig) -> list[Problem]:
    """Return a problem where ``server.encryptionKey`` is written and blank, which `serve` refuses."""
    place = config.server.encryption_key_place
    if place is None or config.server.encryption_key or any(item.path == KEY for item in config.unset):
        return []
    return [Problem(place, KEY, f"is blank; accepted is {ACCEPTED_KEYS}")]


def key_warnings(config: HostConfig) -> list[Problem]:
    """Return what is odd about ``server.encryptionKey`` although `serve` takes it, without the key."""
    text, place = config.server.encryption_key, config.server.encryption_key_place
    if place is None or len(text) not in _MISCOUNTED or not re.fullmatch(r"[0-9a-fA-F]+", text):
        return []
    if len(text) == _DIGITS:
        return []
    reason = f"has {len(text)} hexadecimal digits, so it is taken for a password; a key in digits has {_DIGITS}"
    return [Problem(place, KEY, reason)]


def _problems(use: OperationUse, plugin: ConfiguredPlugin) -> Iterator[Problem]:
    operation = plugin.operations.get(use.operation)
    if operation is None:
        yield Problem(use.place, use.path, _unknown(use, list(plugin.operations)))
        return
    if use.input is None:
        return
    for fault in check_input(operation, use.input, bound=use.bound):
        member = re.split(r"[.\[]", fault.member, maxsplit=1)[0]
        place = use.input_places.get(member) or use.input_place or use.place
        yield Problem(place, f"{use.input_path}.{fault.member}", fault.reason)


def _unknown(use: OperationUse, known: Sequence[str]) -> str:
    near = difflib.get_close_matches(use.operation, known, n=1)
    hint = f"did you mean {quoted(near[0])}? " if near else ""
    more = f" and {len(known) - _SHOWN} more" if len(known) > _SHOWN else ""
    accepted = f"{', '.join(known[:_SHOWN])}{more}" if known else "none"
    return f"plugin {quoted(use.plugin)} has no operation {quoted(use.operation)}; {hint}accepted are {accepted}"
