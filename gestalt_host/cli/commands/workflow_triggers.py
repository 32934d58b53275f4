"""``gestalt workflow triggers``: create, read, change and delete event triggers."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import click

from gestalt_host.cli.api import path_of
from gestalt_host.cli.commands.workflow_shared import (
    UPDATE_CONFLICTS,
    Resource,
    TargetOptions,
    input_options,
    matching,
    optional_member,
    owner_option,
    owner_query,
    paused_of,
    required,
    target_options,
    update_options,
)
from gestalt_host.cli.errors import failing_to
from gestalt_host.cli.grammar import Group, argument, flag, option
from gestalt_host.cli.json_lists import JsonValue
from gestalt_host.cli.output import member, text_or_dash, yes_or_no
from gestalt_host.cli.session import CommandSession
from gestalt_host.cli.tables import TableColumn

_COLUMNS = (
    TableColumn("ID"),
    TableColumn("Type", 1),
    TableColumn("Source", 4),
    TableColumn("Subject", 6),
    TableColumn("Plugin", 2),
    TableColumn("Operation", 3),
    TableColumn("Paused", 5),
    TableColumn("Created", 7),
)


def _row(trigger: JsonValue) -> list[str]:
    return [
        text_or_dash(member(trigger, "id")),
        text_or_dash(member(trigger, "match", "type")),
        text_or_dash(member(trigger, "match", "source")),
        text_or_dash(member(trigger, "match", "subject")),
        text_or_dash(member(trigger, "target", "plugin", "name")),
        text_or_dash(member(trigger, "target", "plugin", "operation")),
        yes_or_no(member(trigger, "paused")),
        text_or_dash(member(trigger, "createdAt")),
    ]


_TRIGGERS = Resource(path_of("workflow", "event-triggers"), "trigger", "triggers", _COLUMNS, _row)
_id = argument("id", help="Id of the trigger")


def _path(id: str, *more: str) -> str:
    return path_of("workflow", "event-triggers", id, *more)


@click.command(cls=Group)
def triggers() -> None:
    """Invoke an operation when a matching event is published"""


@triggers.command("list")
@option("--plugin", metavar="PLUGIN", help="Only those that invoke this plugin")
@option("--type", "event_type", metavar="TYPE", help="Only those that match this event type")
@owner_option
@click.pass_obj
def list_triggers(session: CommandSession, plugin: str | None, event_type: str | None, owner: str | None) -> None:
    """List triggers"""
    _TRIGGERS.print_list(
        session,
        session.api(),
        owner,
        lambda trigger: (
            matching(trigger, ("target", "plugin", "name"), plugin) and matching(trigger, ("match", "type"), event_type)
        ),
    )


@triggers.command("get")
@_id
@owner_option
@click.pass_obj
def get(session: CommandSession, id: str, owner: str | None) -> None:
    """Show a trigger"""
    api = session.api()
    with failing_to(f"get workflow trigger {id}"):
        trigger = api.get(_path(id), owner_query(owner))
    _TRIGGERS.print_one(session, trigger)


@triggers.command("create")
@option("--type", "event_type", metavar="TYPE", required=True, help="Type that an event must have")
@option("--source", metavar="SOURCE", help="Source that an event must have")
@option("--subject", metavar="SUBJECT", help="Subject that an event must have")
@target_options(required=True)
@flag("--paused", help="Create it paused")
@input_options
@click.pass_obj
def create(
    session: CommandSession, /, event_type: str, source: str | None, subject: str | None, paused: bool, **target: Any
) -> None:
    """Create a trigger"""
    api = session.api()
    options = TargetOptions(**target)
    match = {"type": event_type, "source": source, "subject": subject}
    body = {
        "match": {name: value for name, value in match.items() if value is not None},
        "target": options.new(),
        "paused": paused,
    }
    options.warn_of_unknown(session, api, body)
    with failing_to("create workflow trigger"):
        trigger = api.post(_TRIGGERS.path, body)
    _TRIGGERS.print_one(session, trigger)


@triggers.command("update", conflicts=UPDATE_CONFLICTS)
@_id
@option("--type", "event_type", metavar="TYPE", help="Type that an event must have")
@option("--source", metavar="SOURCE", help="Source that an event must have; an empty one removes it")
@option("--subject", metavar="SUBJECT", help="Subject that an event must have; an empty one removes it")
@target_options(required=False)
@update_options
@input_options
@click.pass_obj
def update(
    session: CommandSession,
    /,
    id: str,
    event_type: str | None,
    source: str | None,
    subject: str | None,
    paused: bool,
    no_paused: bool,
    **target: Any,
) -> None:
    """Change a trigger; what is not given stays"""
    api = session.api()
    options = TargetOptions(**target)

    def changed(existing: JsonValue) -> JsonValue:
        old = member(existing, "match")
        provider = member(existing, "provider")
        return {
            **optional_member("provider", None, provider.strip() if isinstance(provider, str) else None),
            "match": {
                "type": required(
                    event_type if event_type is not None else member(old, "type"), "trigger", "match.type", "type"
                ),
                **optional_member("source", source, member(old, "source")),
                **optional_member("subject", subject, member(old, "subject")),
            },
            "target": options.over(existing, "trigger"),
            "paused": paused_of(existing, paused, no_paused),
        }

    match = {"type": event_type, "source": source, "subject": subject}
    touched: list[Sequence[str]] = [("match", name) for name, value in match.items() if value is not None]
    touched += [("paused",)] if paused or no_paused else []
    touched += options.touched()
    check = partial(options.warn_of_unknown, session, api)
    _TRIGGERS.print_one(session, _TRIGGERS.update(api, _path(id), id, changed, check, touched))


@triggers.command("delete")
@_id
@click.pass_obj
def delete(session: CommandSession, id: str) -> None:
    """Delete a trigger"""
    api = session.api()
    with failing_to(f"delete workflow trigger {id}"):
        answer = api.delete(_path(id))
    if session.output.as_json:
        session.output.json(answer)
    else:
        session.output.done(f"Workflow trigger {id} deleted.")


@triggers.command("pause")
@_id
@click.pass_obj
def pause(session: CommandSession, id: str) -> None:
    """Stop a trigger from firing"""
    _switch(session, id, "pause")


@triggers.command("resume")
@_id
@click.pass_obj
def resume(session: CommandSession, id: str) -> None:
    """Let a paused trigger fire again"""
    _switch(session, id, "resume")


def _switch(session: CommandSession, id: str, verb: str) -> None:
    api = session.api()
    with failing_to(f"{verb} workflow trigger {id}"):
        trigger = api.post(_path(id, verb), {})
    _TRIGGERS.print_one(session, trigger)
