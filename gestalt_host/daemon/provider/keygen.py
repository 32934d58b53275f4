"""`gestaltd provider keygen`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from gestalt_host.daemon.console import show
from gestalt_host.daemon.options import Options

HELP = """\
Make an Ed25519 key to sign releases with. The private key goes into a new file that only its owner can read; the public
key is printed, for providerKeys of the configurations that are to trust it.

Usage:
  gestaltd provider keygen [--output FILE]

Options:
  --output FILE         File of the private key, by default gestalt-release.key. It is never overwritten.
  -h, --help            This text.
"""
DEFAULT_FILE = "gestalt-release.key"


def run(options: Options, environ: Mapping[str, str]) -> None:
    """Write a new private key and print the public one."""
    from gestalt_host.packages.signatures import new_key, public_key, write_private_key

    key = new_key()
    write_private_key(Path(options.last("output") or DEFAULT_FILE), key)
    show(public_key(key))
