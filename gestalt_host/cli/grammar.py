"""How arguments are read, and what help and usage errors look like (cli.md A1): a stricter click.

Long options in full, a value that starts with ``-`` only as ``--option=-value``, no option twice, no surplus argument,
hints for near misses. Everything else (types, callbacks, dispatch) is click's.
"""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import click

from gestalt_host.cli import parameters

if TYPE_CHECKING:
    _Text = click.ParamType[str]
    _Entry = click.ParamType[tuple[str, Any]]
    _Seconds = click.ParamType[float]
else:
    _Text = _Entry = _Seconds = click.ParamType

LONGEST_DURATION_S = 86_400.0
_UNITS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}


class Usage(click.UsageError):
    """A command line that cannot be obeyed: exit code 2, nothing was sent.

    ``tip`` is a further line; ``show_usage`` is false for a bad value, where the usage line says nothing new.
    """

    def __init__(
        self, message: str, ctx: click.Context | None = None, *, tip: str = "", show_usage: bool = True
    ) -> None:
        super().__init__(message, ctx)
        self.tip = tip
        self.show_usage = show_usage


class HelpOnStderr(click.UsageError):
    """A group was called without a command."""


# --- reading ----------------------------------------------------------------------------------------------------------


class _Strict(click.Command):
    """Checks the arguments of one level and hands click a canonical form of them.

    Args:
        aliases: Further names of the command, not listed in help texts.
        conflicts: Pairs of option names (``--paused``, ``--no-paused``) that exclude each other.
    """

    def __init__(
        self, *args: Any, aliases: tuple[str, ...] = (), conflicts: tuple[tuple[str, str], ...] = (), **attrs: Any
    ) -> None:
        super().__init__(*args, **attrs)
        self.aliases = aliases
        self.conflicts = conflicts

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        return super().parse_args(ctx, _Reader(self, ctx).read(args))

    def get_help_option(self, ctx: click.Context) -> click.Option | None:
        option = super().get_help_option(ctx)
        if option is not None:
            option.help = "Print help"
        return option

    def collect_usage_pieces(self, ctx: click.Context) -> list[str]:
        return _usage_pieces(self, ctx)

    def format_help(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        _format_help(self, ctx, formatter)


class _Reader:
    """One pass over the arguments of one command."""

    def __init__(self, command: click.Command, ctx: click.Context) -> None:
        self._command = command
        self._ctx = ctx
        params = command.get_params(ctx)
        self._options = {name: param for param in params if isinstance(param, click.Option) for name in param.opts}
        self._arguments = [param for param in params if isinstance(param, click.Argument)]
        self._canonical: list[str] = []
        self._positional: list[str] = []
        self._given: list[str] = []

    def read(self, args: Sequence[str]) -> list[str]:
        rest = list(args)
        for arg in rest:
            if not _is_text(arg):
                raise Usage(f"argument {arg!a} is not valid UTF-8", self._ctx, show_usage=False)
        while rest:
            arg = rest.pop(0)
            if arg == "--":
                self._positional += rest
                rest.clear()
            elif arg.startswith("--"):
                self._long(arg, rest)
            elif arg.startswith("-") and arg != "-":
                self._short(arg, rest)
            elif isinstance(self._command, click.Group):
                return [*self._canonical, arg, *rest]  # the rest belongs to the subcommand
            else:
                self._positional.append(arg)
            if self._canonical[-1:] in (["--help"], ["--version"]):
                return self._canonical[-1:]
        self._check()
        return [*self._canonical, "--", *self._positional] if self._positional else self._canonical

    def _long(self, arg: str, rest: list[str]) -> None:
        name, equals, value = arg.partition("=")
        option = self._options.get(name)
        if option is None:
            tip = _similar(name, [known for known in self._options if known.startswith("--")], "argument")
            raise Usage(f"unexpected argument '{name}' found", self._ctx, tip=tip)
        self._take(option, value if equals else None, rest)

    def _short(self, arg: str, rest: list[str]) -> None:
        cluster = arg[1:]
        while cluster:
            option = self._options.get(f"-{cluster[0]}")
            if option is None:
                raise Usage(f"unexpected argument '-{cluster[0]}' found", self._ctx)
            cluster = cluster[1:]
            if option.is_flag:
                self._take(option, None, rest)
                continue
            self._take(option, cluster.removeprefix("=") if cluster else None, rest)
            return

    def _take(self, option: click.Option, value: str | None, rest: list[str]) -> None:
        name = long_name(option)
        if name in self._given and not option.multiple and name not in ("--help", "--version"):
            raise Usage(f"the argument '{described(option)}' cannot be used multiple times", self._ctx)
        self._given.append(name)
        if option.is_flag:
            if value is not None:
                raise Usage(f"unexpected value '{value}' for '{name}' found; no more were expected", self._ctx)
            self._canonical.append(name)
            return
        if value is None:
            if not rest or (rest[0].startswith("-") and rest[0] != "-"):
                tip = f"to pass '{rest[0]}' as a value, use '{name}={rest[0]}'" if rest else ""
                raise Usage(f"a value is required for '{described(option)}' but none was supplied", self._ctx, tip=tip)
            value = rest.pop(0)
        self._canonical.append(f"{name}={value}")

    def _check(self) -> None:
        if isinstance(self._command, click.Group):
            if self._positional:  # what follows '--' is never a subcommand
                raise Usage(f"unexpected argument '{self._positional[0]}' found", self._ctx)
            if not self._command.invoke_without_command:
                raise HelpOnStderr("a command is required", self._ctx)
            return
        for one, other in getattr(self._command, "conflicts", ()):
            if one in self._given and other in self._given:
                texts = [described(self._options[name]) for name in (one, other)]
                raise Usage(f"the argument '{texts[0]}' cannot be used with '{texts[1]}'", self._ctx)
        room = None if any(arg.nargs < 0 for arg in self._arguments) else len(self._arguments)
        if room is not None and len(self._positional) > room:
            raise Usage(f"unexpected argument '{self._positional[room]}' found", self._ctx)
        missing = [described(option) for option in dict.fromkeys(self._options.values())
                   if option.required and long_name(option) not in self._given]  # fmt: skip
        missing += [described(arg) for arg in self._arguments[len(self._positional) :] if arg.required]
        if missing:
            listed = "".join(f"\n  {text}" for text in missing)
            raise Usage(f"the following required arguments were not provided:{listed}", self._ctx)


def long_name(option: click.Option) -> str:
    return max(option.opts, key=len)


def described(param: click.Parameter) -> str:
    """Return a parameter as help shows it: ``--param <PARAMS>``, ``--paused``, ``<ID>`` or ``[OPERATION]...``."""
    if isinstance(param, click.Option):
        return long_name(param) if param.is_flag else f"{long_name(param)} <{_metavar(param)}>"
    name = _metavar(param)
    shown = f"<{name}>" if param.required else f"[{name}]"
    return f"{shown}..." if param.nargs < 0 else shown


def _metavar(param: click.Parameter) -> str:
    return param.metavar or (param.name or "").upper()


def _similar(word: str, known: Sequence[str], kind: str) -> str:
    matches = difflib.get_close_matches(word, known, n=1, cutoff=0.6)
    return f"a similar {kind} exists: '{matches[0]}'" if matches else ""


def _is_text(arg: str) -> bool:
    try:
        arg.encode()
    except UnicodeEncodeError:
        return False
    return True


# --- help -------------------------------------------------------------------------------------------------------------


def _usage_pieces(command: click.Command, ctx: click.Context) -> list[str]:
    params = command.get_params(ctx)
    pieces = ["[OPTIONS]"]
    pieces += [described(param) for param in params if isinstance(param, click.Option) and param.required]
    pieces += [described(param) for param in params if isinstance(param, click.Argument)]
    if isinstance(command, click.Group):
        pieces.append("[COMMAND]" if command.invoke_without_command else "<COMMAND>")
    return pieces


def _format_help(command: click.Command, ctx: click.Context, formatter: click.HelpFormatter) -> None:
    if command.help:
        formatter.write(f"{command.help.strip()}\n\n")
    formatter.write(f"Usage: {ctx.command_path} {' '.join(_usage_pieces(command, ctx))}\n")
    params = command.get_params(ctx)
    if arguments := [param for param in params if isinstance(param, click.Argument)]:
        with formatter.section("Arguments"):
            formatter.write_dl([(described(argument), getattr(argument, "help", None) or "") for argument in arguments])
    if isinstance(command, click.Group):
        shown = [(name, command.commands[name]) for name in command.commands if not command.commands[name].hidden]
        rows = [(name, (child.help or "").strip().split("\n")[0]) for name, child in shown]
        rows.append(("help", "Print this message or the help of the given subcommand(s)"))
        with formatter.section("Commands"):
            formatter.write_dl(rows)
    with formatter.section("Options"):
        options = [param for param in params if isinstance(param, click.Option) and not param.hidden]
        formatter.write_dl([(_option_names(option), option.help or "") for option in options])


def _option_names(option: click.Option) -> str:
    short = next((name for name in option.opts if not name.startswith("--")), None)
    return f"{short}, {described(option)}" if short else f"    {described(option)}"


# --- commands and groups ----------------------------------------------------------------------------------------------


class GestaltCommand(_Strict):
    """One command."""


class Group(_Strict, click.Group):
    """A command with subcommands, each also under its aliases; ``help [COMMAND]...`` is one of them."""

    command_class = GestaltCommand

    def __init__(self, *args: Any, **attrs: Any) -> None:
        super().__init__(*args, **{"no_args_is_help": False, **attrs})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if (found := self.commands.get(cmd_name)) is not None:
            return found
        if cmd_name == "help":
            return _help_command(self)
        return next((c for c in self.commands.values() if cmd_name in getattr(c, "aliases", ())), None)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        command = self.get_command(ctx, args[0])
        if command is None:
            raise unknown_subcommand(self, ctx, args[0])
        return command.name, command, args[1:]


def unknown_subcommand(group: click.Group, ctx: click.Context, word: str) -> Usage:
    tip = _similar(word, [name for name, child in group.commands.items() if not child.hidden], "subcommand")
    return Usage(f"unrecognized subcommand '{word}'", ctx, tip=tip)


def _help_command(group: Group) -> GestaltCommand:
    def show(command: tuple[str, ...]) -> None:
        parent = click.get_current_context().parent
        assert parent is not None
        current: click.Command = group
        for word in command:
            child = current.get_command(parent, word) if isinstance(current, click.Group) else None
            if child is None:
                if isinstance(current, click.Group):
                    raise unknown_subcommand(current, parent, word)
                raise Usage(f"unrecognized subcommand '{word}'", parent)
            current, parent = child, click.Context(child, info_name=child.name, parent=parent)
        click.echo(current.get_help(parent))

    words = click.Argument(["command"], nargs=-1, metavar="COMMAND")
    return GestaltCommand(
        "help", params=[words], callback=show, help="Print this message or the help of the given subcommand(s)"
    )


# --- parameters that several commands share ---------------------------------------------------------------------------


class Name(_Text):
    """An id or name that becomes one segment of a path: not empty, and nothing that a path would swallow."""

    name = "name"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        if value in ("", ".", ".."):
            raise bad_value(value, param, ctx, f"an id or name cannot be {'empty' if not value else repr(value)}")
        return str(value)


class Pair(_Entry):
    """``key=value`` or ``key:=json``."""

    name = "pair"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, Any]:
        try:
            return parameters.parse_pair(value)
        except ValueError as error:
            raise bad_value(value, param, ctx, str(error)) from error


class Duration(_Seconds):
    """A duration such as ``90s`` or ``1m30s``, in seconds; ``none`` is infinite."""

    name = "duration"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> float:
        if value == "none":
            return math.inf
        parts = re.findall(r"(\d{1,9}(?:\.\d{1,9})?)(ms|[hms])", str(value), re.ASCII)
        seconds = sum(float(number) * _UNITS[unit] for number, unit in parts)
        if "".join(number + unit for number, unit in parts) != value or not 0 < seconds <= LONGEST_DURATION_S:
            why = "expected more than 0 and at most 24h, such as 500ms, 90s or 1m30s, or none for no limit"
            raise bad_value(str(value), param, ctx, why)
        return seconds


class OneOf(_Text):
    """One of a few words, in this letter case."""

    name = "choice"

    def __init__(self, words: Sequence[str]) -> None:
        self.words = tuple(words)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        if value not in self.words:
            tip = _similar(value, self.words, "value")
            raise bad_value(value, param, ctx, f"possible values: {', '.join(self.words)}", tip=tip)
        return str(value)


def bad_value(
    value: str, param: click.Parameter | None, ctx: click.Context | None, why: str, *, tip: str = ""
) -> Usage:
    place = described(param) if param is not None else "argument"
    return Usage(f"invalid value '{value}' for '{place}': {why}", ctx, tip=tip, show_usage=False)


def option(*names: str, metavar: str, help: str, **attrs: Any) -> Callable[[Any], Any]:
    return click.option(*names, metavar=metavar, help=help, **attrs)


def flag(*names: str, help: str, **attrs: Any) -> Callable[[Any], Any]:
    return click.option(*names, is_flag=True, help=help, **attrs)


class _Argument(click.Argument):
    def __init__(self, *args: Any, help: str = "", **attrs: Any) -> None:
        super().__init__(*args, **attrs)
        self.help = help


def argument(name: str, *, help: str, metavar: str | None = None, **attrs: Any) -> Callable[[Any], Any]:
    return click.argument(name, cls=_Argument, metavar=metavar or name.upper(), help=help, **{"type": Name(), **attrs})


def pairs(*names: str, metavar: str, help: str) -> Callable[[Any], Any]:
    """Make a repeatable option of ``key=value`` and ``key:=json`` entries."""
    return click.option(*names, metavar=metavar, help=help, type=Pair(), multiple=True)
