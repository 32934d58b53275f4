"""What the workflow commands share: options for a target and its input, the owner option, and printing lists."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import orjson

from gestalt_host.cli import parameters
from gestalt_host.cli.api import Api
from gestalt_host.cli.commands.catalogue import operations_of, warn_of_unknown
from gestalt_host.cli.errors import ApiError, CliError, failing_to
from gestalt_host.cli.grammar import OneOf, flag, option, pairs
from gestalt_host.cli.json_lists import JsonValue, NotAList
from gestalt_host.cli.output import member
from gestalt_host.cli.session import CommandSession
from gestalt_host.cli.tables import TableColumn

F = TypeVar("F", bound=Callable[..., Any])

UPDATE_ATTEMPTS = 10
"""How often an update is made, when somebody else changed the object each time, until it is given up."""

UPDATE_CONFLICTS = (("--paused", "--no-paused"), ("--clear-input", "--param"), ("--clear-input", "--input-file"))


@dataclass(frozen=True)
class TargetOptions:
    """The options of one command line that describe a plugin target; None where not given."""

    plugin: str | None
    operation: str | None
    connection: str | None
    instance: str | None
    param: tuple[tuple[str, Any], ...]
    input_file: str | None
    clear_input: bool = False

    def new(self) -> dict[str, Any]:
        """Return the target of a create request: what was given, and the input unless it is empty."""
        return {"plugin": self._given() | _unless_empty("input", parameters.input_of(self.param, self.input_file))}

    def over(self, existing: Any, kind: str) -> dict[str, Any]:
        """Return the target of an update request: what was given, the rest as in the ``existing`` object.

        An empty connection or instance removes it. Any input flag or file replaces the whole input.

        Args:
            kind: ``schedule`` or ``trigger``, for the messages.

        Raises:
            CliError: plugin or operation is neither given nor in the existing object, as for an agent target.
        """
        given = self._given()
        plugin: dict[str, Any] = {}
        for name in ("name", "operation"):
            value = given.get(name, member(existing, "target", "plugin", name))
            plugin[name] = required(value, kind, f"target.plugin.{name}", "plugin" if name == "name" else name)
        for name in ("connection", "instance"):
            plugin |= _unless_empty(name, given.get(name, member(existing, "target", "plugin", name)))
        if self.param or self.input_file is not None:
            plugin |= _unless_empty("input", parameters.input_of(self.param, self.input_file))
        elif not self.clear_input:
            plugin |= _unless_empty("input", member(existing, "target", "plugin", "input"))
        return {"plugin": plugin}

    def warn_of_unknown(self, session: CommandSession, api: Api, request: JsonValue) -> None:
        """Tell a person which members of the input that was given the operation does not declare; asks for those."""
        plugin = member(request, "target", "plugin")
        if (
            not (given := member(plugin, "input"))
            or not (self.param or self.input_file)
            or not session.output.has_reader
        ):
            return
        place = {f"_{name}": plugin[name] for name in ("connection", "instance") if plugin.get(name)}
        try:
            operations = operations_of(api, plugin["name"], place)
        except CliError:
            return  # the write itself says what is wrong
        operation = next((entry for entry in operations if entry["id"] == plugin["operation"]), None)
        warn_of_unknown(session.output, plugin["name"], operation, given)

    def touched(self) -> list[Sequence[str]]:
        """Return the paths of the members that an update request with these options decides about.

        Whatever of a target is given was meant for its plugin and operation.
        """
        input_given = bool(self.param) or self.input_file is not None or self.clear_input
        names = [*self._given(), *(["input"] if input_given else [])]
        if names:
            names = list(dict.fromkeys(("name", "operation", *names)))
        return [("target", "plugin", name) for name in names]

    def _given(self) -> dict[str, Any]:
        members = {
            "name": self.plugin,
            "operation": self.operation,
            "connection": self.connection,
            "instance": self.instance,
        }
        return {name: value for name, value in members.items() if value is not None}


def _unless_empty(name: str, value: Any) -> dict[str, Any]:
    return {name: value} if value else {}


def required(value: Any, kind: str, path: str, option_name: str) -> str:
    """Return a text that an update needs, from an option or from the existing object."""
    if not isinstance(value, str):
        raise CliError(f"existing {kind} is missing {path}; pass --{option_name}")
    return value


def optional_member(name: str, given: str | None, existing: Any) -> dict[str, str]:
    """Return the member ``name`` of an update request: the given text, else the existing one; left out when empty."""
    value = existing if given is None else given
    return {name: value} if isinstance(value, str) and value else {}


def paused_of(existing: Any, paused: bool, no_paused: bool) -> bool:
    return paused or (not no_paused and member(existing, "paused") is True)


def _all(*decorators: Callable[[F], F]) -> Callable[[F], F]:
    def decorate(function: F) -> F:
        for decorator in reversed(decorators):
            function = decorator(function)
        return function

    return decorate


def target_options(*, required: bool) -> Callable[[F], F]:
    """Add ``--plugin``, ``--operation``, ``--connection`` and ``--instance`` to a command."""
    removes = "" if required else "; an empty one removes it"
    return _all(
        option("--plugin", metavar="PLUGIN", required=required, help="Plugin to invoke"),
        option("--operation", metavar="OPERATION", required=required, help="Operation of the plugin"),
        option("--connection", metavar="CONNECTION", help=f"Connection of the plugin to use{removes}"),
        option("--instance", metavar="INSTANCE", help=f"Instance of the connection to use{removes}"),
    )


input_options: Callable[[Any], Any] = _all(
    pairs("-p", "--param", metavar="PARAMS", help="Input: key=value (a string) or key:=json; repeatable"),
    option("--input-file", metavar="FILE", help="Input from a JSON file ('-': standard input), overridden by --param"),
)

update_options: Callable[[Any], Any] = _all(
    flag("--paused", help="Pause it"),
    flag("--no-paused", help="Resume it"),
    flag("--clear-input", help="Remove the input"),
)

owner_option: Callable[[Any], Any] = option(
    "--owner",
    metavar="OWNER",
    type=OneOf(["config", "all"]),
    help="Whose to read: config (managed by the server's configuration) or all, instead of your own",
)


def owner_query(owner: str | None) -> dict[str, str]:
    return {} if owner is None else {"owner": owner}


@dataclass(frozen=True)
class Resource:
    """One kind of workflow object: its path, its words, and its table."""

    path: str
    singular: str
    plural: str
    columns: Sequence[TableColumn]
    row: Callable[[JsonValue], list[str]]

    def print_one(self, session: CommandSession, value: JsonValue) -> None:
        if session.output.as_json:
            session.output.json(value)
        else:
            session.output.table(self.columns, [self.row(value)])

    def update(
        self,
        api: Api,
        path: str,
        id: str,
        changed: Callable[[JsonValue], JsonValue],
        check: Callable[[JsonValue], None],
        touched: Sequence[Sequence[str]],
    ) -> JsonValue:
        """Read the object, change it and write it; again when somebody else has changed other members meanwhile.

        Args:
            changed: Makes the request of the object.
            check: Looks at the first request before it is sent.
            touched: Paths of the members that the request does not take over from the object.

        Raises:
            CliError: somebody else has changed one of those, which is not overwritten.
        """
        what = f"workflow {self.singular} {id}"
        with failing_to(f"load {what}"):
            first, tag = api.get_tagged(path)
        existing = first
        for attempt in range(UPDATE_ATTEMPTS):
            request = changed(existing)
            if not attempt:
                check(request)
            try:
                with failing_to(f"update {what}"):
                    return api.put(path, request, if_match=tag)
            except ApiError as error:
                if error.code != "revision_mismatch":
                    raise
            with failing_to(f"load {what}"):
                existing, tag = api.get_tagged(path)
            with failing_to(f"update {what}"):
                _refuse_overwriting(first, existing, request, touched)
        with failing_to(f"update {what}"):
            raise CliError(
                f"somebody else changed it {UPDATE_ATTEMPTS} times while this command ran; nothing was written"
            )

    def print_list(
        self, session: CommandSession, api: Api, owner: str | None, keep: Callable[[JsonValue], bool]
    ) -> None:
        """Ask for the list and print what passes ``keep``.

        Where nothing is left and a person is looking, a remark tells of config-managed ones that would be: they are
        listed only when asked for.
        """
        shown = 0

        def kept() -> Iterator[JsonValue]:
            nonlocal shown
            for item in api.items(self.path, owner_query(owner)):
                if keep(item):
                    shown += 1
                    yield item

        with failing_to(f"list workflow {self.plural}"):
            try:
                if session.output.as_json:
                    session.output.json_list(kept())
                else:
                    session.output.table(self.columns, [self.row(item) for item in kept()])
            except NotAList as answer:
                if session.output.as_json:
                    session.output.json(answer.value)
                else:
                    session.output.table(self.columns, [])
        if not shown and owner is None and session.output.has_reader:
            self._remark_on_managed(session, api, keep)

    def _remark_on_managed(self, session: CommandSession, api: Api, keep: Callable[[JsonValue], bool]) -> None:
        try:
            count = sum(keep(item) for item in api.items(self.path, owner_query("config")))
        except (CliError, NotAList):
            return  # a server without the owner query, or a caller who may not see them
        if count:
            noun = self.singular if count == 1 else self.plural
            session.output.remark(
                f"None of your own; {count} config-managed {noun} not shown. List with --owner config, or --owner all."
            )


def _refuse_overwriting(first: JsonValue, now: JsonValue, request: JsonValue, touched: Sequence[Sequence[str]]) -> None:
    """Raise ``CliError`` when a member that the request decides about was changed meanwhile to something else."""
    for path in touched:
        before, current = member(first, *path), member(now, *path)
        if current not in (before, member(request, *path)):
            name = "plugin" if path[-1] == "name" else path[-1]
            raise CliError(
                f"somebody else changed its {name} from {_shown(before)} to {_shown(current)} while this command ran; "
                "nothing was written. Run it again to replace that"
            )


def _shown(value: JsonValue) -> str:
    return "nothing" if value is None else orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode()


def matching(value: Any, path: Sequence[str], wanted: str | None) -> bool:
    """Return whether the text at ``path`` is the wanted one; anything goes when none is wanted."""
    return wanted is None or member(value, *path) == wanted
