"""What providers say of their configurations when they are asked (see ``judging``, which launches them)."""

from __future__ import annotations

from dataclasses import dataclass, field

from gestalt_host.config.errors import Problem


@dataclass(slots=True)
class Judgement:
    """Hold what providers say of their configurations; ``unchecked`` are those that say nothing, by kind and name."""

    problems: list[Problem] = field(default_factory=list)
    warnings: list[Problem] = field(default_factory=list)
    checked: list[str] = field(default_factory=list)
    unchecked: list[str] = field(default_factory=list)
