"""``gestalt workflow runs``: read and cancel runs."""

from __future__ import annotations

from typing import Any

import click

from gestalt_host.cli.api import path_of
from gestalt_host.cli.commands.workflow_shared import Resource, matching, owner_option, owner_query
from gestalt_host.cli.errors import failing_to
from gestalt_host.cli.grammar import Group, argument, option
from gestalt_host.cli.output import member, text_or_dash
from gestalt_host.cli.session import CommandSession
from gestalt_host.cli.tables import TableColumn

_COLUMNS = (
    TableColumn("ID"),
    TableColumn("Plugin", 3),
    TableColumn("Operation", 2),
    TableColumn("Status", 1),
    TableColumn("Trigger", 6),
    TableColumn("Started", 4),
    TableColumn("Created", 5),
)
_STATES = ("pending", "running", "succeeded", "failed", "canceled")
_TRIGGER_IDS = {"schedule": "scheduleId", "event": "triggerId"}


def _row(run: Any) -> list[str]:
    started = member(run, "startedAt")
    return [
        text_or_dash(member(run, "id")),
        text_or_dash(member(run, "target", "plugin", "name")),
        text_or_dash(member(run, "target", "plugin", "operation")),
        text_or_dash(member(run, "status")),
        _trigger(member(run, "trigger")),
        text_or_dash(started if isinstance(started, str) else member(run, "completedAt")),
        text_or_dash(member(run, "createdAt")),
    ]


def _trigger(trigger: Any) -> str:
    """Return what fired the run: ``schedule:<id>``, ``event:<id>``, the bare kind, or ``-``."""
    kind = member(trigger, "kind")
    if not isinstance(kind, str) or not kind:
        return "-"
    fired_by = member(trigger, _TRIGGER_IDS[kind]) if kind in _TRIGGER_IDS else None
    return f"{kind}:{fired_by}" if isinstance(fired_by, str) and fired_by else kind


_RUNS = Resource(path_of("workflow", "runs"), "run", "runs", _COLUMNS, _row)
_id = argument("id", help="Id of the run")


@click.command(cls=Group)
def runs() -> None:
    """Executions that schedules, events and people started"""


@runs.command("list")
@option("--plugin", metavar="PLUGIN", help="Only those that invoke this plugin")
@option("--status", metavar="STATUS", help="Only those that are pending, running, succeeded, failed or canceled")
@owner_option
@click.pass_obj
def list_runs(session: CommandSession, plugin: str | None, status: str | None, owner: str | None) -> None:
    """List runs"""
    if status is not None and status not in _STATES and session.output.has_reader:
        accepted = f"{', '.join(_STATES[:-1])} and {_STATES[-1]}"
        session.output.warn(f"no run has the status '{status}'; there are {accepted}")
    _RUNS.print_list(
        session,
        session.api(),
        owner,
        lambda run: matching(run, ("target", "plugin", "name"), plugin) and matching(run, ("status",), status),
    )


@runs.command("get")
@_id
@owner_option
@click.pass_obj
def get(session: CommandSession, id: str, owner: str | None) -> None:
    """Show a run; its result and messages with --format json"""
    api = session.api()
    with failing_to(f"get workflow run {id}"):
        run = api.get(path_of("workflow", "runs", id), owner_query(owner))
    _RUNS.print_one(session, run)
    message = member(run, "statusMessage")
    if isinstance(message, str) and message and not session.output.as_json:
        session.output.remark(f"Status message: {message}")


@runs.command("cancel")
@_id
@option("--reason", metavar="REASON", help="Why, kept with the run")
@click.pass_obj
def cancel(session: CommandSession, id: str, reason: str | None) -> None:
    """Cancel a run that has not ended"""
    api = session.api()
    with failing_to(f"cancel workflow run {id}"):
        run = api.post(path_of("workflow", "runs", id, "cancel"), {} if reason is None else {"reason": reason})
    _RUNS.print_one(session, run)
