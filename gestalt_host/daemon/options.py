"""The command line's grammar (cli.md B1): one or two dashes, ``--name value`` or ``--name=value``, options first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from gestalt_host.daemon.errors import UsageWrong

HELP_WORDS = ("h", "help")


@dataclass(frozen=True, slots=True)
class Options:
    """Hold what was given: values by option name, in order, options without a value, and the arguments after them.

    ``help`` when it was asked for.
    """

    values: dict[str, list[str]] = field(default_factory=dict)
    flags: set[str] = field(default_factory=set)
    help: bool = False
    arguments: list[str] = field(default_factory=list)

    def all(self, name: str) -> list[str]:
        return self.values.get(name, [])

    def last(self, name: str) -> str:
        """Return the last value given, blank without one."""
        return (self.all(name) or [""])[-1]


def parse_options(
    arguments: Sequence[str],
    accepted: Sequence[str],
    help_text: str,
    *,
    flags: Sequence[str] = (),
    most: int | None = 0,
    options_anywhere: bool = False,
) -> Options:
    """Read options that each take a value, ``flags``, which take none, and up to ``most`` arguments behind them.

    Args:
        most: None allows any number of arguments.
        options_anywhere: Options may follow arguments, up to a ``--``.
    Raises:
        UsageWrong: an unknown option, a missing value, or arguments that are left over.
    """
    options, rest, plain = Options(), list(arguments), list[str]()
    while rest and rest[0] != "--":
        word = rest.pop(0)
        if not word.startswith("-") or word == "-":
            plain.append(word)
            if options_anywhere:
                continue
            break
        name, has_value, value = word.lstrip("-").partition("=")
        if name in HELP_WORDS:
            return Options(help=True)
        if name in flags:
            if has_value:
                notice = f"flag takes no value: -{name}"
                raise UsageWrong(notice, notice=notice, help_text=help_text)
            options.flags.add(name)
            continue
        if name not in accepted:
            notice = f"flag provided but not defined: -{name}"
            raise UsageWrong(notice, notice=notice, help_text=help_text)
        if not has_value:
            if not rest:
                notice = f"flag needs an argument: -{name}"
                raise UsageWrong(notice, notice=notice, help_text=help_text)
            value = rest.pop(0)
        options.values.setdefault(name, []).append(value)
    if rest[:1] == ["--"] and (options_anywhere or not plain):
        rest.pop(0)
    rest = [*plain, *rest]
    if most is not None and len(rest) > most:
        raise UsageWrong(f"unexpected arguments: {' '.join(rest[most:])}")
    options.arguments.extend(rest)
    return options
