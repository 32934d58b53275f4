"""Serves the quickstart until Ctrl-C; `make run` calls it. Prepares its folder and an encryption key first.

State goes to ``state/`` beside this file, private to the user and ignored by git; delete the folder to begin anew. One
host at a time may serve it. What the processes log goes to ``state/gestaltd.log``, so that the terminal shows only the
host's lines for people; the log of the time before is ``state/gestaltd.log.1``. As soon as the host is ready the
roadmap is synced once, so that there is something to be found before the schedule fires.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import secrets
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

HERE = Path(__file__).resolve().parent
STATE = HERE / "state"
KEY = STATE / "encryption-key"
LOCK = STATE / "lock"
LOG = STATE / "gestaltd.log"
EARLIER_LOG = STATE / "gestaltd.log.1"
SHOWN_LOG_LINES = 20
READY = re.compile(r"Gestalt API at (\S+)")
SYNC_TIMEOUT_S = 30


class AlreadyServed(Exception):
    """Another host serves the quickstart of this folder; the text says which and how it is ended."""


def prepare() -> None:
    """Make the state folder and the key where they are missing."""
    STATE.mkdir(mode=0o700, exist_ok=True)
    STATE.chmod(0o700)
    try:
        handle = os.open(KEY, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return
    with os.fdopen(handle, "w") as file:
        file.write(secrets.token_hex(32))


@contextmanager
def locked() -> Iterator[IO[str]]:
    """Hold the lock of the folder; the file holds the number of the process to be ended.

    Raises:
        AlreadyServed: somebody else holds it.
    """
    with os.fdopen(os.open(LOCK, os.O_RDWR | os.O_CREAT, 0o600), "r+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = file.read().strip() or "that is just starting"
            raise AlreadyServed(
                f"The quickstart is served already, by process {holder}; its log is {LOG}.\n"
                f"Use that one, or end it first: Ctrl-C in its terminal, or kill {holder}."
            ) from None
        note(file, os.getpid())
        yield file


def note(lock: IO[str], pid: int) -> None:
    """Write the number of the process to be ended into the lock's file."""
    lock.seek(0)
    lock.truncate()
    lock.write(f"{pid}\n")
    lock.flush()


def serve(lock: IO[str]) -> int:
    """Run the host; its exit status. A status other than 0 shows the end of the log."""
    environment = {"GESTALT_ENCRYPTION_KEY_FILE": str(KEY), **os.environ, "QUICKSTART": str(HERE)}
    command = [sys.executable, "-m", "gestalt_host.daemon", "serve", "--config", str(HERE / "gestalt.yaml")]
    show("Starting six processes ...")
    with suppress(FileNotFoundError):
        LOG.replace(EARLIER_LOG)
    # Ctrl-C reaches the host by itself, as it is in the terminal's process group.
    signal.signal(signal.SIGINT, lambda *_: None)
    with os.fdopen(os.open(LOG, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "wb") as log:
        # The host holds the lock too, so that nobody else begins while it still serves and this process is gone.
        host = subprocess.Popen(
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log,
            pass_fds=(lock.fileno(),),
            text=True,
            errors="replace",
        )
    note(lock, host.pid)
    signal.signal(signal.SIGTERM, lambda *_: host.terminate())
    assert host.stdout is not None
    for line in host.stdout:
        show(line.rstrip("\n"))
        if found := READY.match(line):
            threading.Thread(target=sync, args=(found[1],), daemon=True).start()
    status = host.wait()
    if status:
        lines = LOG.read_text(errors="replace").splitlines()[-SHOWN_LOG_LINES:]
        print("\n".join([*lines, f"gestaltd ended with status {status}; all of its log is in {LOG}"]), file=sys.stderr)
    return status


def sync(url: str) -> None:
    """Sync the roadmap, and show it as the host shows a run."""
    request = urllib.request.Request(
        f"{url}/api/v1/roadmap/sync", json.dumps({"mode": "incremental"}).encode(), {"Content-Type": "application/json"}
    )
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    began = time.monotonic()
    try:
        with direct.open(request, timeout=SYNC_TIMEOUT_S):
            outcome = f"succeeded  {(time.monotonic() - began) * 1000:.0f} ms"
    except OSError as error:
        outcome = f"failed     {error}; the schedule tries again at the next full minute"
    show(f"{time.strftime('%H:%M:%S')}  {'at start':<8}  {'roadmap.sync':<28}  {outcome}")


def show(line: str) -> None:
    """Print a line; a terminal that has gone ends nothing."""
    with suppress(OSError):
        print(line, flush=True)


def main() -> int:
    """Prepare and serve, unless the folder is served already."""
    prepare()
    try:
        with locked() as lock:
            return serve(lock)
    except AlreadyServed as error:
        print(error, file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
