"""``gestalt workflow schedules``: create, read, change and delete schedules."""

from __future__ import annotations

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
    TableColumn("Plugin", 1),
    TableColumn("Operation", 2),
    TableColumn("Cron", 3),
    TableColumn("TZ", 6),
    TableColumn("Paused", 4),
    TableColumn("Next Run", 5),
    TableColumn("Created", 7),
)


def _row(schedule: JsonValue) -> list[str]:
    return [
        text_or_dash(member(schedule, "id")),
        text_or_dash(member(schedule, "target", "plugin", "name")),
        text_or_dash(member(schedule, "target", "plugin", "operation")),
        text_or_dash(member(schedule, "cron")),
        text_or_dash(member(schedule, "timezone")),
        yes_or_no(member(schedule, "paused")),
        text_or_dash(member(schedule, "nextRunAt")),
        text_or_dash(member(schedule, "createdAt")),
    ]


_SCHEDULES = Resource(path_of("workflow", "schedules"), "schedule", "schedules", _COLUMNS, _row)
_id = argument("id", help="Id of the schedule")


def _path(id: str, *more: str) -> str:
    return path_of("workflow", "schedules", id, *more)


@click.command(cls=Group)
def schedules() -> None:
    """Invoke an operation at the times of a cron expression"""


@schedules.command("list")
@option("--plugin", metavar="PLUGIN", help="Only those that invoke this plugin")
@owner_option
@click.pass_obj
def list_schedules(session: CommandSession, plugin: str | None, owner: str | None) -> None:
    """List schedules"""
    _SCHEDULES.print_list(
        session, session.api(), owner, lambda schedule: matching(schedule, ("target", "plugin", "name"), plugin)
    )


@schedules.command("get")
@_id
@owner_option
@click.pass_obj
def get(session: CommandSession, id: str, owner: str | None) -> None:
    """Show a schedule"""
    api = session.api()
    with failing_to(f"get workflow schedule {id}"):
        schedule = api.get(_path(id), owner_query(owner))
    _SCHEDULES.print_one(session, schedule)


@schedules.command("create")
@option("--cron", metavar="CRON", required=True, help="Five fields: minute hour day-of-month month day-of-week")
@option("--timezone", metavar="TIMEZONE", help="IANA time zone of the cron expression [default: UTC]")
@target_options(required=True)
@flag("--paused", help="Create it paused")
@input_options
@click.pass_obj
def create(session: CommandSession, /, cron: str, timezone: str | None, paused: bool, **target: Any) -> None:
    """Create a schedule"""
    api = session.api()
    options = TargetOptions(**target)
    body: dict[str, Any] = {"cron": cron, "target": options.new(), "paused": paused}
    if timezone is not None:
        body["timezone"] = timezone
    options.warn_of_unknown(session, api, body)
    with failing_to("create workflow schedule"):
        schedule = api.post(_SCHEDULES.path, body)
    _SCHEDULES.print_one(session, schedule)


@schedules.command("update", conflicts=UPDATE_CONFLICTS)
@_id
@option("--cron", metavar="CRON", help="Five fields: minute hour day-of-month month day-of-week")
@option("--timezone", metavar="TIMEZONE", help="IANA time zone of the cron expression; an empty one means UTC")
@target_options(required=False)
@update_options
@input_options
@click.pass_obj
def update(
    session: CommandSession,
    /,
    id: str,
    cron: str | None,
    timezone: str | None,
    paused: bool,
    no_paused: bool,
    **target: Any,
) -> None:
    """Change a schedule; what is not given stays"""
    api = session.api()
    options = TargetOptions(**target)

    def changed(existing: JsonValue) -> JsonValue:
        return {
            "cron": required(cron if cron is not None else member(existing, "cron"), "schedule", "cron", "cron"),
            **optional_member("timezone", timezone, member(existing, "timezone")),
            "target": options.over(existing, "schedule"),
            "paused": paused_of(existing, paused, no_paused),
        }

    given = {"cron": cron is not None, "timezone": timezone is not None, "paused": paused or no_paused}
    touched = [*([name] for name, is_given in given.items() if is_given), *options.touched()]
    check = partial(options.warn_of_unknown, session, api)
    _SCHEDULES.print_one(session, _SCHEDULES.update(api, _path(id), id, changed, check, touched))


@schedules.command("delete")
@_id
@click.pass_obj
def delete(session: CommandSession, id: str) -> None:
    """Delete a schedule"""
    api = session.api()
    with failing_to(f"delete workflow schedule {id}"):
        answer = api.delete(_path(id))
    if session.output.as_json:
        session.output.json(answer)
    else:
        session.output.done(f"Workflow schedule {id} deleted.")


@schedules.command("pause")
@_id
@click.pass_obj
def pause(session: CommandSession, id: str) -> None:
    """Stop a schedule from firing"""
    _switch(session, id, "pause")


@schedules.command("resume")
@_id
@click.pass_obj
def resume(session: CommandSession, id: str) -> None:
    """Let a paused schedule fire again"""
    _switch(session, id, "resume")


def _switch(session: CommandSession, id: str, verb: str) -> None:
    api = session.api()
    with failing_to(f"{verb} workflow schedule {id}"):
        schedule = api.post(_path(id, verb), {})
    _SCHEDULES.print_one(session, schedule)
