"""``gestalt tokens``: API tokens of the caller."""

from __future__ import annotations

from typing import Any

import click

from gestalt_host.cli.api import path_of
from gestalt_host.cli.errors import failing_to
from gestalt_host.cli.grammar import Group, argument, option
from gestalt_host.cli.output import member, text_or_dash
from gestalt_host.cli.session import CommandSession
from gestalt_host.cli.tables import TableColumn

_COLUMNS = (
    TableColumn("ID"),
    TableColumn("Name", 1),
    TableColumn("Scopes", 4, wraps=True),
    TableColumn("Created", 3),
    TableColumn("Expires", 2),
)


@click.command(cls=Group)
def tokens() -> None:
    """Create, list and revoke API tokens"""


@tokens.command("create")
@option("--name", metavar="NAME", default="cli-token", help="Name of the token [default: cli-token]")
@click.pass_obj
def create(session: CommandSession, name: str) -> None:
    """Create a token and print it, once"""
    api = session.api()
    with failing_to("create token"):
        answer = api.post(path_of("tokens"), {"name": name})
    token = member(answer, "token")
    if session.output.as_json or not isinstance(token, str):
        session.output.json(answer)
        return
    session.output.done("Token created. Save it now; it won't be shown again.")
    session.output.line(token)


@tokens.command("list")
@click.pass_obj
def list_tokens(session: CommandSession) -> None:
    """List tokens"""
    api = session.api()
    with failing_to("list tokens"):
        answer = api.get(path_of("tokens"))
    if session.output.as_json:
        session.output.json(answer)
        return
    rows = [_row(token) for token in answer] if isinstance(answer, list) else []
    session.output.table(_COLUMNS, rows)


@tokens.command("revoke")
@argument("id", help="Id of the token")
@click.pass_obj
def revoke(session: CommandSession, id: str) -> None:
    """Revoke a token"""
    api = session.api()
    with failing_to("revoke token"):
        answer = api.delete(path_of("tokens", id))
    if session.output.as_json:
        session.output.json(answer)
    else:
        session.output.done(f"Token {id} revoked.")


def _row(token: Any) -> list[str]:
    created = member(token, "createdAt") or member(token, "created_at")
    expires = member(token, "expiresAt") or member(token, "expires_at")
    return [
        text_or_dash(member(token, "id")),
        text_or_dash(member(token, "name")),
        text_or_dash(member(token, "scopes")),
        text_or_dash(created),
        expires if isinstance(expires, str) else "never",
    ]
