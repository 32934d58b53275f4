"""Serves the quickstart until Ctrl-C; `make run` calls it. Prepares its folder and an encryption key first.

State goes to ``state/`` beside this file, private to the user and ignored by git; delete the folder to begin anew. What
the processes log goes to ``state/gestaltd.log``, so that the terminal shows only the host's lines for people.
"""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
STATE = HERE / "state"
KEY = STATE / "encryption-key"
LOG = STATE / "gestaltd.log"
SHOWN_LOG_LINES = 20


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


def serve() -> int:
    """Run the host; its exit status. A status other than 0 shows the end of the log."""
    environment = {"GESTALT_ENCRYPTION_KEY_FILE": str(KEY), **os.environ, "QUICKSTART": str(HERE)}
    command = [sys.executable, "-m", "gestalt_host.daemon", "serve", "--config", str(HERE / "gestalt.yaml")]
    print("Starting six processes ...", flush=True)
    handle = os.open(LOG, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "wb") as log:
        host = subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL, stderr=log)
    # Ctrl-C reaches the host by itself, as it is in the terminal's process group.
    signal.signal(signal.SIGINT, lambda *_: None)
    signal.signal(signal.SIGTERM, lambda *_: host.terminate())
    status = host.wait()
    if status:
        lines = LOG.read_text(errors="replace").splitlines()[-SHOWN_LOG_LINES:]
        print("\n".join([*lines, f"gestaltd ended with status {status}; all of its log is in {LOG}"]), file=sys.stderr)
    return status


if __name__ == "__main__":
    prepare()
    sys.exit(serve())
