"""A PostgreSQL server of the tests' own: started on a private port and socket, gone with the tests.

Where no server is installed the tests that need one are skipped and say so.
"""

from __future__ import annotations

import itertools
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import psycopg
import pytest

ADMINISTRATOR = "administrator"
PASSWORD = "Pa55-w0rd.of-the.tests"
LOCATIONS = (
    "/usr/lib/postgresql/*/bin",
    "/usr/pgsql-*/bin",
    "/usr/local/opt/postgresql*/bin",
    "/opt/homebrew/opt/postgresql*/bin",
)
_numbers = itertools.count(1)


class NotInstalled(Exception):
    """There is no server to start here; the text says why."""


class PostgresServer:
    """One cluster in a folder of its own. Unix socket without a password, TCP on 127.0.0.1 with one."""

    def __init__(self, folder: Path) -> None:
        self.binaries = find_binaries()
        self.folder = folder
        self.data = folder / "data"
        self.port = _free_port()
        self._identity = _identity()
        if self._identity:
            os.chown(folder, self._identity["user"], self._identity["group"])
        password = folder / "password"
        password.write_text(PASSWORD)
        password.chmod(0o644)
        self._run(
            "initdb", "-D", str(self.data), "-U", ADMINISTRATOR, "-E", "UTF8", "--locale=C",
            "--auth-local=trust", "--auth-host=scram-sha-256", f"--pwfile={password}",
        )  # fmt: skip
        with (self.data / "postgresql.conf").open("a") as settings:
            # The tests kill processes, not the machine, so nothing needs to reach the disk.
            settings.write(
                f"listen_addresses = '127.0.0.1'\nport = {self.port}\nunix_socket_directories = '{folder}'\n"
                "max_connections = 200\nfsync = off\nfull_page_writes = off\nshared_buffers = 64MB\n"
            )

    def start(self) -> None:
        self._run("pg_ctl", "-D", str(self.data), "-l", str(self.folder / "log"), "-w", "-t", "60", "start")

    def stop(self, mode: str = "fast") -> None:
        """End it: ``fast`` as an administrator does, ``immediate`` as a crash would."""
        self._run("pg_ctl", "-D", str(self.data), "-m", mode, "-w", "-t", "60", "stop")

    @property
    def dsn(self) -> str:
        """Through the socket, without a password."""
        return f"postgresql://{ADMINISTRATOR}@/postgres?host={self.folder}&port={self.port}"

    def tcp_dsn(self, password: str = PASSWORD) -> str:
        return f"postgresql://{ADMINISTRATOR}:{password}@127.0.0.1:{self.port}/postgres"

    def new_schema(self) -> str:
        """A name that nobody has used on this server."""
        return f"test_{next(_numbers)}"

    def execute(self, sql: str, *parameters: Any) -> list[tuple[Any, ...]]:
        """Look or meddle from outside."""
        with psycopg.connect(self.dsn, autocommit=True) as connection:
            cursor = connection.execute(sql, parameters or None)
            return cursor.fetchall() if cursor.description else []

    def _run(self, program: str, *arguments: str) -> None:
        environment = {"PATH": os.environ.get("PATH", ""), "LC_ALL": "C", "HOME": str(self.folder)}
        with tempfile.TemporaryFile() as output:
            done = subprocess.run(
                [str(self.binaries / program), *arguments],
                env=environment,
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                **self._identity,
            )
            if done.returncode:
                output.seek(0)
                raise RuntimeError(f"{program} ended with {done.returncode}: {output.read().decode(errors='replace')}")


def find_binaries() -> Path:
    """Where ``pg_ctl`` and ``initdb`` are.

    Raises:
        NotInstalled
    """
    found = shutil.which("pg_ctl")
    candidates = [Path(found).resolve().parent] if found else []
    for pattern in LOCATIONS:
        candidates += sorted(Path("/").glob(pattern.lstrip("/")), key=_version, reverse=True)
    for folder in candidates:
        if (folder / "initdb").exists() and (folder / "pg_ctl").exists():
            return folder
    raise NotInstalled(f"no PostgreSQL server is installed: no pg_ctl in PATH nor in {', '.join(LOCATIONS)}")


def _version(folder: Path) -> int:
    digits = "".join(character for character in folder.parent.name if character.isdigit())
    return int(digits or 0)


def _identity() -> dict[str, Any]:
    """How to start the server, which refuses to run as root: as the user that its package made."""
    if os.getuid() != 0:
        return {}
    for name in ("postgres", "nobody"):
        with suppress(KeyError):
            user = pwd.getpwnam(name)
            return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
    raise NotInstalled("PostgreSQL does not run as root, and there is no other user to run it as")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """A running server for the whole session; tests that stop it start it again."""
    folder = Path(tempfile.mkdtemp(prefix="gst-pg-", dir="/tmp"))
    try:
        try:
            server = PostgresServer(folder)
        except NotInstalled as error:
            pytest.skip(str(error))
        server.start()
        try:
            yield server
        finally:
            server.stop("immediate")
    finally:
        shutil.rmtree(folder, ignore_errors=True)
