"""What `gestaltd provider dev` shows: lines of the log for people, and the commands that call what is developed."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path

from gestalt_host.packages import PluginCatalogue
from gestalt_host.packages.catalogue import CatalogueOperation
from gestalt_host.packages.tracebacks import reason_in
from gestalt_sdk.common.printable import printable

_MOST_CHARS = 2000
_PARTS = frozenset(
    ("event", "event_name", "level", "timestamp", "process", "process_kind", "stream", "exception", "last_lines")
)
"""Of a line of the log, what is shown in a place of its own or, being a stack trace or shown already, not at all."""
_EXAMPLES: Mapping[str, object] = {"integer": 1, "number": 1.5, "boolean": True, "array": [], "object": {}}


def shown(fields: Mapping[str, object], root: Path) -> str:
    """Return a line of the log as people read it: time, level, whose it is, what happened, the rest as ``key=value``.

    Of an exception there is its last line, and where in the folder ``root`` it was raised.
    """
    error = fields.get("exception")
    reason = reason_in(error, root) if isinstance(error, str) else ""
    rest = [f"{key}={_value(value)}" for key, value in fields.items() if key not in _PARTS]
    words = (_time(fields.get("timestamp")), f"{fields.get('level', 'info')!s:<7}", f"{fields.get('process', '')}:")
    line = " ".join((*words, f"{fields.get('event', '')}{reason}", *rest))
    return printable(line if len(line) <= _MOST_CHARS else f"{line[: _MOST_CHARS - 1]}…")


def _time(timestamp: object) -> str:
    try:
        return datetime.fromisoformat(str(timestamp)).astimezone().strftime("%H:%M:%S")
    except ValueError:
        return datetime.now().strftime("%H:%M:%S")


def _value(value: object) -> str:
    if isinstance(value, str) and value and not any(char.isspace() for char in value):
        return value
    return json.dumps(value, ensure_ascii=False, default=str)


def calls_of(
    kind: str, name: str, catalogue: PluginCatalogue | None, url: str, example: str, *, has_process: bool = True
) -> Iterator[str]:
    """Yield the commands that call a provider and look into it, each to be pasted as it is.

    Args:
        kind: ``plugin``, ``workflow`` or ``indexeddb``.
        example: Name of the plugin that uses a provider of another kind.
    """
    gestalt, host = f"gestalt --url {url}", f"--host {url}"
    word = f"{kind}/{name}"
    if kind == "plugin" and catalogue is not None:
        for operation in catalogue.operations.values():
            if operation.visible is not False:
                yield " ".join((gestalt, "invoke", name, operation.id, *_params(operation)))
        if not has_process:
            return
        first = next(iter(catalogue.operations), "")
        execute = f"IntegrationProvider/Execute -d {shlex.quote(json.dumps({'operation': first}))}"
        yield f"gestaltd provider call {word} {execute} {host}"
    elif kind == "workflow":
        yield f"{gestalt} workflow schedules create --cron '* * * * *' --plugin {example} --operation items.list"
        yield f"{gestalt} workflow runs list"
        yield f"gestaltd provider call {word} WorkflowProvider/ListSchedules {host}"
    else:
        yield f"{gestalt} invoke {example} sync"
        yield f"{gestalt} invoke {example} items.list"
    yield f"gestaltd provider sockets {word} {host}"
    yield f"gestaltd provider logs {word} --follow {host}"


def _params(operation: CatalogueOperation) -> Iterator[str]:
    for parameter in operation.parameters:
        if parameter.required and not parameter.internal:
            if parameter.type in _EXAMPLES:
                yield f"-p {shlex.quote(f'{parameter.name}:={json.dumps(_EXAMPLES[parameter.type])}')}"
            else:
                yield f"-p {parameter.name}=…"
