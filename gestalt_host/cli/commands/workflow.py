"""``gestalt workflow``: the group of schedules, triggers, events and runs."""

from __future__ import annotations

import click

from gestalt_host.cli.commands.workflow_events import events
from gestalt_host.cli.commands.workflow_runs import runs
from gestalt_host.cli.commands.workflow_schedules import schedules
from gestalt_host.cli.commands.workflow_triggers import triggers
from gestalt_host.cli.grammar import Group


@click.command(cls=Group, aliases=("workflows",))
def workflow() -> None:
    """Schedules, event triggers, events and runs"""


for _group in (schedules, triggers, events, runs):
    workflow.add_command(_group)
