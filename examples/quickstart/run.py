"""Serves the quickstart: prepares its folder and an encryption key, then becomes `gestaltd`. `make run` calls it.

State goes to ``state/`` beside this file, private to the user and ignored by git; delete the folder to begin anew.
"""

from __future__ import annotations

import os
import secrets
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
STATE = HERE / "state"
KEY = STATE / "encryption-key"


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


def main() -> None:
    prepare()
    os.environ["QUICKSTART"] = str(HERE)
    os.environ.setdefault("GESTALT_ENCRYPTION_KEY_FILE", str(KEY))
    command = [sys.executable, "-m", "gestalt_host.daemon", "serve", "--config", str(HERE / "gestalt.yaml")]
    os.execv(sys.executable, [*command, *sys.argv[1:]])


if __name__ == "__main__":
    main()
