"""Versions of packages, what the configuration accepts of them, and which one is chosen (packaging.md 9)."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import total_ordering

from gestalt_host.packages.errors import PackageInvalid

MOST_CHARACTERS = 256
"""Of a version or a constraint."""
_NUMBER = r"(?:0|[1-9][0-9]*)"
_PART = r"(?:0|[1-9][0-9]*|[0-9]*[A-Za-z-][0-9A-Za-z-]*)"
_PRE = rf"{_PART}(?:\.{_PART})*"
_BUILD = r"[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*"
_VERSION = re.compile(rf"({_NUMBER})\.({_NUMBER})\.({_NUMBER})(?:-({_PRE}))?(?:\+({_BUILD}))?")
_SIGNS = {"": "=", "=": "=", "==": "=", "!=": "!=", ">": ">", "<": "<", ">=": ">=", "=>": ">=", "<=": "<=", "=<": "<="}
_SIGNS |= {"~": "~", "~>": "~", "^": "^"}
_LEVEL = rf"(?:{_NUMBER}|[xX*])"
_COMPARATOR = re.compile(
    rf"([=!<>~^]{{0,2}})\s*v?({_LEVEL})(?:\.({_LEVEL})(?:\.({_LEVEL})(?:-({_PRE}))?(?:\+({_BUILD}))?)?)?(?=[\s,]|$)"
)
_HYPHEN = re.compile(r"\s*(\S+)\s+-\s+(\S+)\s*")
_ACCEPTED = "accepted are versions such as 1.2.3 and ranges such as ^1.2, ~1.2.3, 1.x, >=1.2 <2 or 1.0 - 1.4, with ||"


def is_version(text: str) -> bool:
    """Return whether the text is a semantic version in its canonical form, such as ``1.2.3-alpha.4``."""
    return len(text) <= MOST_CHARACTERS and _VERSION.fullmatch(text) is not None


@total_ordering
@dataclass(frozen=True, slots=True)
class Version:
    """A semantic version.

    Versions are in the order of precedence; of those that differ by build alone, which have none, in that of the
    build's text, so that a choice among them is always the same one.

    Attributes:
        pre_release: What stands behind ``-``, its parts; empty for a stable version.
        build: What stands behind ``+``.
    """

    major: int
    minor: int
    patch: int
    pre_release: tuple[str, ...] = ()
    build: str = ""

    @classmethod
    def parse(cls, text: str) -> Version:
        """Return the version that the text is.

        Raises:
            PackageInvalid: it is none.
        """
        found = _VERSION.fullmatch(text) if len(text) <= MOST_CHARACTERS else None
        if found is None:
            raise PackageInvalid(f"{text[:MOST_CHARACTERS]!r} is not a semantic version such as 1.2.3 or 1.2.3-alpha.4")
        major, minor, patch, pre, build = found.groups()
        return cls(int(major), int(minor), int(patch), _parts(pre), build or "")

    @property
    def numbers(self) -> tuple[int, int, int]:
        return self.major, self.minor, self.patch

    def precedence(self) -> tuple[object, ...]:
        """Return what compares as versions do, by their rules; build metadata does not count."""
        # A pre-release precedes its version; numbers precede words, and what is shorter precedes what goes on.
        parts = tuple((0, int(part), "") if part.isdigit() else (1, 0, part) for part in self.pre_release)
        return (*self.numbers, not self.pre_release, parts)

    def __lt__(self, other: Version) -> bool:
        return (self.precedence(), self.build) < (other.precedence(), other.build)

    def __str__(self) -> str:
        pre = f"-{'.'.join(self.pre_release)}" if self.pre_release else ""
        return f"{self.major}.{self.minor}.{self.patch}{pre}{f'+{self.build}' if self.build else ''}"


@dataclass(frozen=True, slots=True)
class _Comparator:
    """One condition. ``given`` is how many of the three numbers are written and are no wildcard."""

    sign: str
    version: Version
    given: int

    def allows(self, version: Version) -> bool:
        below = version.precedence() < self.version.precedence()
        if self.sign == "=":
            return self._is_within(version)
        if self.sign == "!=":
            return not self._is_within(version)
        if self.sign == ">":
            return not below and not self._is_within(version)
        if self.sign == "<=":
            return below or self._is_within(version)
        if self.sign == "<":
            return below
        if self.sign == ">=":
            return not below
        same = self._kept()
        return not below and version.numbers[:same] == self.version.numbers[:same]

    def _is_within(self, version: Version) -> bool:
        if self.given < 3:
            return version.numbers[: self.given] == self.version.numbers[: self.given]
        same = version.precedence() == self.version.precedence()
        return same and self.version.build in ("", version.build)

    def _kept(self) -> int:
        """Return how many leading numbers ``~`` or ``^`` keep."""
        if self.sign == "~":
            return min(self.given, 2)
        # The first that is not 0 is kept, for it says what is compatible; where all that are given are 0, all of them.
        leading = next((index for index, number in enumerate(self.version.numbers) if number), 3)
        return min(leading + 1, self.given)


@dataclass(frozen=True, slots=True)
class Constraint:
    """Which versions the configuration accepts; without alternatives any.

    Attributes:
        text: As it is configured, without blanks around it.
    """

    text: str
    _alternatives: tuple[tuple[_Comparator, ...], ...] = ()

    @classmethod
    def parse(cls, text: str) -> Constraint:
        """Return the constraint that the text is; a blank one accepts any version.

        Raises:
            PackageInvalid: it is none.
        """
        text = text.strip()
        if len(text) > MOST_CHARACTERS:
            raise PackageInvalid(f"version constraint of {len(text)} characters; accepted are {MOST_CHARACTERS}")
        if not text:
            return cls("")
        alternatives = [_comparators(part) for part in text.split("||")]
        if any(not found for found in alternatives):
            raise PackageInvalid(f"version constraint {text!r} cannot be read; {_ACCEPTED}")
        return cls(text, tuple(alternatives))

    def allows(self, version: Version, yanked: bool = False) -> bool:
        """Return whether the version may be used.

        A pre-release may be if the alternative that it meets mentions one, a yanked version only by its bare text.
        """
        if str(version) == self.text:
            return True
        if yanked:
            return False
        return not self._alternatives or any(_meets(version, every) for every in self._alternatives)

    def choose(self, versions: Iterable[tuple[Version, bool]]) -> Version | None:
        """Return the version to use of those that exist, each with whether it is yanked; None if none may be.

        The one whose text the constraint is, else the newest; without a constraint a stable one before any other.
        """
        allowed = [version for version, yanked in versions if self.allows(version, yanked)]
        if not self.text:
            allowed = [version for version in allowed if not version.pre_release] or allowed
        exact = [version for version in allowed if str(version) == self.text]
        return max(exact or allowed, default=None)


def _meets(version: Version, every: tuple[_Comparator, ...]) -> bool:
    if version.pre_release and not any(one.version.pre_release for one in every):
        return False
    return all(one.allows(version) for one in every)


def _comparators(text: str) -> tuple[_Comparator, ...]:
    """Return the conditions of one alternative, none when it cannot be read."""
    if hyphen := _HYPHEN.fullmatch(text):
        text = f">={hyphen[1]} <={hyphen[2]}"
    found: list[_Comparator] = []
    rest = text.strip()
    while rest:
        match = _COMPARATOR.match(rest)
        if match is None or match[1] not in _SIGNS:
            return ()
        found.append(_comparator(_SIGNS[match[1]], match))
        rest = rest[match.end() :].lstrip()
        if rest.startswith(","):
            rest = rest[1:].lstrip()
            if not rest:
                return ()
    return tuple(found)


def _comparator(sign: str, match: re.Match[str]) -> _Comparator:
    levels = [level or "x" for level in match.group(2, 3, 4)]
    given = next((index for index, level in enumerate(levels) if level in "xX*"), 3)
    major, minor, patch = (int(level) if index < given else 0 for index, level in enumerate(levels))
    pre, build = (match[5], match[6]) if given == 3 else (None, None)
    return _Comparator(sign, Version(major, minor, patch, _parts(pre), build or ""), given)


def _parts(pre: str | None) -> tuple[str, ...]:
    return tuple(pre.split(".")) if pre else ()
