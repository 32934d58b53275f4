"""Reading the files that a configuration consists of and names, without waiting for whoever writes a pipe."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from gestalt_host.config.errors import ConfigurationUnreadable

MOST_BYTES = 4 * 1024 * 1024
_KINDS = {
    stat.S_IFDIR: "is a directory",
    stat.S_IFIFO: "is a pipe",
    stat.S_IFCHR: "is a device",
    stat.S_IFBLK: "is a device",
    stat.S_IFSOCK: "is a socket",
}


def read_text(path: Path, encoding: str = "utf-8", *, most_bytes: int = MOST_BYTES) -> str:
    """Return the text of a regular file; anything else is refused at once.

    Raises:
        ConfigurationUnreadable: the reason alone, for a text that names the file.
    """
    try:
        return read_bytes(path, most_bytes).decode(encoding)
    except UnicodeDecodeError as error:
        raise ConfigurationUnreadable(f"not UTF-8 text: {error.reason}") from None


def read_bytes(path: Path, most: int = MOST_BYTES) -> bytes:
    """Return the content of a regular file of at most ``most`` bytes; anything else is refused at once.

    Raises:
        ConfigurationUnreadable: the reason alone, for a text that names the file.
    """
    try:
        # Without O_NONBLOCK opening a pipe would wait for somebody to write it.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise ConfigurationUnreadable(error.strerror or str(error)) from None
    except ValueError:
        raise ConfigurationUnreadable("no path can have a NUL character") from None
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            kind = _KINDS.get(stat.S_IFMT(status.st_mode), "is of another kind")
            raise ConfigurationUnreadable(f"{kind}; a regular file is accepted")
        if status.st_size > most:
            raise ConfigurationUnreadable(f"has {status.st_size} bytes; accepted are {most}")
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            return file.read()
    except OSError as error:
        raise ConfigurationUnreadable(error.strerror or str(error)) from None
    finally:
        os.close(descriptor)
