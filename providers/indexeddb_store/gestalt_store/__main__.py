"""``python -m gestalt_store``: serve as a provider, or back up, restore and check databases.

Exit status: 0 done, 1 problems found by ``check``, 2 the command could not be carried out.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from pathlib import Path

# Before grpc is imported: a process that forks while calls are in flight would crash otherwise.
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")

from gestalt_store.config import read_config
from gestalt_store.errors import ConfigInvalid, StoreError
from gestalt_store.sqlite.backup import backup, restore
from gestalt_store.sqlite.check import check, databases_of


def main(arguments: list[str] | None = None) -> int:
    """Run one command, without any ``serve``; return the exit status."""
    parser = argparse.ArgumentParser(
        prog="gestalt_store", description="The object store provider on SQLite or PostgreSQL."
    )
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    commands.add_parser("serve", help="serve on the socket that the host names in the environment (the default)")
    command = commands.add_parser("backup", help="write databases to one file while a store may be serving them")
    command.add_argument("--db", action="append", default=[], help="this database only; may be repeated")
    command.add_argument("dsn", help="sqlite://PATH, as configured; - reads it from standard input")
    command.add_argument("file", type=Path, help="archive to write")
    command = commands.add_parser("restore", help="put the databases of a backup in place; overwrites nothing")
    command.add_argument("dsn", help="sqlite://PATH to restore to; - reads it from standard input")
    command.add_argument("file", type=Path, help="archive to read")
    command = commands.add_parser("check", help="prove that files are sound and that indexes agree with records")
    command.add_argument("dsn", help="sqlite://PATH or postgresql://…, as configured; - reads it from standard input")
    options = parser.parse_args(arguments)
    if options.command in (None, "serve"):
        from gestalt_sdk.serving.process import serve
        from gestalt_store.provider import provider

        return serve(provider)
    try:
        return _maintain(options)
    except StoreError as error:
        print(f"gestalt_store: {error}", file=sys.stderr)
        return 2


def _maintain(options: argparse.Namespace) -> int:
    # A DSN may hold a password, and what stands among the arguments can be read by every user of the machine.
    dsn = sys.stdin.readline().rstrip("\n") if options.dsn == "-" else options.dsn
    config, _ = read_config({"dsn": dsn})
    if config.conninfo is not None:
        return _maintain_postgres(options.command, config.conninfo)
    if config.path is None:
        raise ConfigInvalid("a database in memory cannot be backed up, restored or checked from outside")
    if options.command == "backup":
        for db in backup(config.path, options.file, options.db):
            print(f"backed up {_shown(db)}")
        return 0
    if options.command == "restore":
        for db in restore(options.file, config.path):
            print(f"restored {_shown(db)}")
        return 0
    databases = databases_of(config.path)
    if not databases:
        raise ConfigInvalid(f"{config.path}: no database")
    found = 0
    for db, path in databases.items():
        problems = check(path)
        found += len(problems)
        for problem in problems:
            print(f"{path}: {problem}")
        if not problems:
            print(f"{path}: sound ({_shown(db)})")
    return 1 if found else 0


def _maintain_postgres(command: str, conninfo: str) -> int:
    from gestalt_store.postgres.check import BACKUP_HINT, check_server

    if command != "check":
        raise ConfigInvalid(BACKUP_HINT)
    checked = asyncio.run(check_server(conninfo))
    if not checked:
        raise ConfigInvalid("no database of the store on that server")
    for db, problems in checked.items():
        for problem in problems:
            print(f"{_shown(db)}: {problem}")
        if not problems:
            print(f"{_shown(db)}: sound")
    return 1 if any(checked.values()) else 0


def _shown(db: str) -> str:
    return f"database {db}" if db else "the unnamed database"


if __name__ == "__main__":
    sys.exit(main())
