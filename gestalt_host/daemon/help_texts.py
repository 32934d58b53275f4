"""Help texts of `gestaltd` and its commands."""

from __future__ import annotations

_CONFIG = """\
  --config PATH         Configuration file. Repeated --config flags merge left-to-right.
                        Without any: $GESTALT_CONFIG, ./config.yaml, ~/.gestaltd/config.yaml.
  --artifacts-dir PATH  Where prepared packages are kept; relative to the first configuration file's directory."""

ROOT = f"""\
gestaltd serves Gestalt: an HTTP API in front of plugins, and the workflows that invoke them later.

Usage:
  gestaltd [--config PATH]... [--artifacts-dir PATH]
  gestaltd serve [--config PATH]... [--artifacts-dir PATH]
  gestaltd validate [--config PATH]... [--artifacts-dir PATH]
  gestaltd version

Without a command it serves, and when no configuration exists anywhere it first writes one to
~/.gestaltd/config.yaml that needs no network and listens on 127.0.0.1 only.

Commands:
  serve     Start the providers and serve the API until SIGINT or SIGTERM.
  validate  Check the configuration and the packages that it names, without starting anything.
  version   Print the version.

Options:
{_CONFIG}
  -h, --help            This text.
"""

SERVE = f"""\
Start the providers and serve the API until SIGINT or SIGTERM; a second signal ends everything at once.

Usage:
  gestaltd serve [--config PATH]... [--artifacts-dir PATH]

Standard output has one line when the host is ready and one for each finished run; logs are JSON lines on standard
error.

Options:
{_CONFIG}
  -h, --help            This text.
"""

VALIDATE = f"""\
Check the configuration and the packages that it names. Every fault is reported with file, line and dotted path.
Variables that are not set count as empty, and secrets are not fetched.

Usage:
  gestaltd validate [--config PATH]... [--artifacts-dir PATH]

Options:
{_CONFIG}
  -h, --help            This text.
"""
