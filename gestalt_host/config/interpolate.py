"""Environment placeholders in configuration files (config.md 2, decision 27).

Before YAML is parsed each placeholder is replaced by a mark, a word that means nothing to YAML; afterwards the marks in
scalars and keys are replaced by values. So structure, comments and quoting are those of the file, whatever the values
hold. The mark of a variable that is not set stays until the layers are merged: one that an overlay has replaced does
no harm.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from gestalt_host.config.errors import ConfigurationUnreadable, Faults, Place
from gestalt_host.config.files import read_text
from gestalt_sdk.common.numbers import is_exact

MARK = r"V[0-9a-f]{24}N[0-9]+E"
PLACEHOLDER = re.compile(
    r"\$(?:(?P<dollar>\$)|\{(?P<braced>[^}\n]*)\}|(?P<open>\{)|(?P<bare>[A-Za-z_][A-Za-z0-9_]*|[*#@!?\-0-9]))"
)
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?")
_LONGEST_NUMBER = 32


@dataclass(frozen=True, slots=True)
class _Placeholder:
    """One placeholder: as it is written, and where. ``fault`` says why it is none that can be replaced."""

    source: str
    place: Place
    name: str = ""
    optional: bool = False
    fault: str = ""


class Placeholders:
    """The placeholders of all layers of one configuration, and the marks that stand for them."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ
        self._found: list[_Placeholder] = []
        self._values: dict[str, str | None] = {}
        # Nobody can write a mark by chance or on purpose, neither in a file nor in a value.
        self._prefix = f"V{secrets.token_hex(12)}N"
        self._mark = re.compile(rf"{self._prefix}([0-9]+)E")

    def mark(self, text: str, file: str) -> str:
        """Return the text of a file with each placeholder replaced by its mark, and ``$$`` by a dollar."""
        line, counted = 1, 0

        def replace(match: re.Match[str]) -> str:
            nonlocal line, counted
            if match["dollar"]:
                return "$"
            line, counted = line + text.count("\n", counted, match.start()), match.start()
            self._found.append(_parsed(match, Place(file, line)))
            return f"{self._prefix}{len(self._found) - 1}E"

        return PLACEHOLDER.sub(replace, text)

    def fill(self, text: str, path: str, faults: Faults) -> str:
        """Return the text with its marks replaced by values, which are not looked through for placeholders again.

        Marks of variables that are not set stay. A placeholder that is malformed, or whose value cannot be used, is a
        fault of ``path``.
        """

        def replace(match: re.Match[str]) -> str:
            value = self._value(self._found[int(match[1])], path, faults)
            return match[0] if value is None else value

        return self._mark.sub(replace, text)

    def unset_in(self, text: str) -> list[tuple[str, Place]]:
        """Return the variables whose marks are left in a filled text, with the place of each mention."""
        found = [self._found[int(number)] for number in self._mark.findall(text)]
        return [(placeholder.name, placeholder.place) for placeholder in found]

    def without_unset(self, text: str) -> str:
        """Return a filled text with what is not set taken as empty."""
        return self._mark.sub("", text)

    def shown(self, text: str) -> str:
        """Return a message with each mark as the placeholder is written in the file."""
        return self._mark.sub(lambda match: self._found[int(match[1])].source, text)

    def _value(self, placeholder: _Placeholder, path: str, faults: Faults) -> str | None:
        if placeholder.fault:
            faults.add(placeholder.place, path, placeholder.fault)
            return ""
        name = placeholder.name
        if not name:
            return ""
        if name not in self._values:
            try:
                self._values[name] = self._look_up(name)
            except ConfigurationUnreadable as error:
                faults.add(placeholder.place, path, str(error))
                return ""
        value = self._values[name]
        return "" if value is None and placeholder.optional else value

    def _look_up(self, name: str) -> str | None:
        if name in self._environ:
            return _usable(self._environ[name], f'environment variable "{name}"')
        variable = f"{name}_FILE"
        path = self._environ.get(variable, "")
        if not path:
            return None
        try:
            text = read_text(Path(path))
        except ConfigurationUnreadable as error:
            raise ConfigurationUnreadable(
                f"environment variable {variable} names {path!r}, which cannot be read: {error}"
            ) from None
        return _usable(text.rstrip("\r\n"), f"environment variable {variable} names {path!r}, which")


def typed(text: str) -> str | int | float | bool:
    """Return the number or boolean that is written exactly like the text, else the text.

    ``8080`` is a number; ``0049123``, ``1.10`` and an integer that no double holds are not written so.
    """
    if text in ("true", "false"):
        return text == "true"
    if len(text) > _LONGEST_NUMBER or not _NUMBER.fullmatch(text):
        return text
    number: int | float = float(text) if "." in text else int(text)
    exact = isinstance(number, float) or is_exact(number)
    return number if exact and str(number) == text else text


def _parsed(match: re.Match[str], place: Place) -> _Placeholder:
    source = match[0]
    if match["open"]:
        return _Placeholder(source, place, fault="invalid environment placeholder: ${ is not closed on its line")
    name, separator, default = (match["braced"] if match["braced"] is not None else match["bare"]).partition(":-")
    if separator and not name:
        return _Placeholder(source, place, fault=f"invalid environment placeholder {source!r}")
    if default:
        reason = f"environment placeholder {source!r}: only the empty default ${{{name}:-}} is supported"
        return _Placeholder(source, place, fault=reason)
    return _Placeholder(source, place, name, optional=bool(separator))


def _usable(text: str, what: str) -> str:
    if "\0" in text:
        raise ConfigurationUnreadable(f"{what} holds a NUL character; accepted is text without one")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ConfigurationUnreadable(f"{what} is not UTF-8 text") from None
    return text
