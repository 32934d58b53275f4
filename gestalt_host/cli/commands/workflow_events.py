"""``gestalt workflow events``: publish events."""

from __future__ import annotations

from typing import Any

import click

from gestalt_host.cli import parameters
from gestalt_host.cli.api import path_of
from gestalt_host.cli.errors import failing_to
from gestalt_host.cli.grammar import Group, option, pairs
from gestalt_host.cli.output import member, text_or_dash
from gestalt_host.cli.session import CommandSession
from gestalt_host.cli.tables import TableColumn

_COLUMNS = (
    TableColumn("ID"),
    TableColumn("Type", 1),
    TableColumn("Source", 3),
    TableColumn("Subject", 4),
    TableColumn("Time", 2),
)


@click.command(cls=Group)
def events() -> None:
    """Publish events that may match triggers"""


@events.command("publish")
@option("--type", "event_type", metavar="EVENT_TYPE", required=True, help="Event type, such as item.updated")
@option("--source", metavar="SOURCE", help="Where the event comes from")
@option("--subject", metavar="SUBJECT", help="What the event is about")
@option("--id", "event_id", metavar="ID", help="Event id; the same source and id count once [default: a new one]")
@option("--time", "event_time", metavar="TIME", help="RFC 3339 time with zone [default: now]")
@option("--spec-version", metavar="VERSION", help="CloudEvents version [default: 1.0]")
@option("--data-content-type", metavar="TYPE", help="Media type of the data")
@pairs("-p", "--data", metavar="DATA", help="Data: key=value (a string) or key:=json; repeatable")
@option("--data-file", metavar="FILE", help="Data from a JSON file ('-': standard input), overridden by --data")
@pairs("-e", "--extension", metavar="EXTENSIONS", help="Extension attribute: key=value or key:=json; repeatable")
@click.pass_obj
def publish(
    session: CommandSession,
    event_type: str,
    source: str | None,
    subject: str | None,
    event_id: str | None,
    event_time: str | None,
    spec_version: str | None,
    data_content_type: str | None,
    data: tuple[tuple[str, Any], ...],
    data_file: str | None,
    extension: tuple[tuple[str, Any], ...],
) -> None:
    """Publish an event"""
    api = session.api()
    texts = {
        "type": event_type,
        "source": source,
        "subject": subject,
        "id": event_id,
        "time": event_time,
        "specVersion": spec_version,
        "dataContentType": data_content_type,
    }
    body: dict[str, Any] = {name: value for name, value in texts.items() if value is not None}
    maps = {
        "data": parameters.input_of(data, data_file),
        "extensions": parameters.merged(parameters.gather(extension)),
    }
    body |= {name: value for name, value in maps.items() if value}
    with failing_to("publish workflow event"):
        answer = api.post(path_of("workflow", "events"), body)
    if session.output.as_json:
        session.output.json(answer)
        return
    event = member(answer, "event") or answer
    row = [text_or_dash(member(event, name)) for name in ("id", "type", "source", "subject", "time")]
    session.output.table(_COLUMNS, [row])
