"""Faults of a configuration file, manifest or catalogue, and the one error that lists them all."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from gestalt_host.errors import HostError
from gestalt_sdk.common.printable import printable


@dataclass(frozen=True, slots=True)
class Place:
    """A line of a file; ``line`` counts from 1, 0 means the file as a whole."""

    file: str
    line: int = 0

    def __str__(self) -> str:
        return f"{self.file}:{self.line}" if self.line else self.file


@dataclass(frozen=True, slots=True)
class Problem:
    """One fault: where it is written, its dotted path (empty for the document itself) and the reason.

    ``shape`` marks an unknown key or a value of the wrong type: a fault of its own file, whatever other layers say.
    """

    place: Place
    path: str
    reason: str
    shape: bool = False

    def __str__(self) -> str:
        # The names of keys are anybody's; what of them stands in a reason is quoted there.
        return f"{self.place}: {printable(self.path)}: {self.reason}" if self.path else f"{self.place}: {self.reason}"


class ConfigurationInvalid(HostError):
    """The configuration cannot be used.

    Attributes:
        problems: Every fault found, in the order of the text.
        unset: Mentions of variables that are not set and were taken as empty, which may be why.
    """

    def __init__(self, problems: Iterable[Problem], unset: Iterable[Problem] = ()) -> None:
        self.problems = tuple(dict.fromkeys(problems))
        self.unset = tuple(unset)
        lines = [str(problem) for problem in self.problems]
        text = lines[0] if len(lines) == 1 else "\n  ".join((f"{len(lines)} problems", *lines))
        super().__init__(f"config validation: {text}")


class ConfigurationUnreadable(HostError):
    """A file that was named cannot be read; the text names it."""


class Faults:
    """Collects problems while one document, or all layers of a configuration, are read."""

    def __init__(self) -> None:
        self.problems: list[Problem] = []

    def add(self, place: Place, path: str, reason: str, *, shape: bool = False) -> None:
        self.problems.append(Problem(place, path, reason, shape))

    def raise_any(self) -> None:
        """Raise ``ConfigurationInvalid`` when anything has been noted."""
        if self.problems:
            raise ConfigurationInvalid(self.problems)
