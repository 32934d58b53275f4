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
  gestaltd validate [--config PATH]... [--artifacts-dir PATH] [--runtime]
  gestaltd store backup|restore|check ...
  gestaltd provider <command> [flags]
  gestaltd version

Without a command it serves, and when no configuration exists anywhere it first writes one to
~/.gestaltd/config.yaml that needs no network and listens on 127.0.0.1 only.

Commands:
  serve     Start the providers and serve the API until SIGINT or SIGTERM.
  validate  Check the configuration and the packages that it names, without serving anything.
  store     Back up, restore and check the databases of the bundled store.
  provider  Find provider packages, put them into a configuration, and release providers of one's own.
  version   Print the version.

Options:
{_CONFIG}
  -h, --help            This text.
"""

SERVE = f"""\
Start the providers and serve the API until SIGINT or SIGTERM. A second SIGINT, or any signal 2 s later, ends everything
at once.

Usage:
  gestaltd serve [--config PATH]... [--artifacts-dir PATH]

Standard output has one line when the host is ready and one for each finished run; logs are JSON lines on standard
error.

Options:
{_CONFIG}
  -h, --help            This text.
"""

VALIDATE = f"""\
Check the configuration, the packages that it names, and the operations and inputs of its schedules and triggers. Every
fault is reported with file, line and dotted path. Variables that are not set are named as warnings and count as empty,
and secrets are not fetched.

Usage:
  gestaltd validate [--config PATH]... [--artifacts-dir PATH] [--runtime]

Options:
{_CONFIG}
  --runtime             Find what serve would find: variables and secrets must be there, and each provider is launched
                        to judge its own config. Nothing is opened, created or written; a provider that does not offer
                        this is named as not checked.
  -h, --help            This text.
"""

STORE_USAGE = {
    "backup": "gestaltd store backup [--config PATH]... [--db NAME]... [DSN|STORE] FILE",
    "restore": "gestaltd store restore [--config PATH]... [DSN|STORE] FILE",
    "check": "gestaltd store check [--config PATH]... [DSN|STORE]",
}

STORE = f"""\
Back up, restore and check the databases of the bundled store.

Usage:
  {STORE_USAGE["backup"]}
  {STORE_USAGE["restore"]}
  {STORE_USAGE["check"]}

Commands:
  backup   Write databases to one archive, each as it was at one moment, while a store may be serving them.
  restore  Put the databases of an archive in place; overwrites nothing.
  check    Prove that files are sound and that indexes agree with records.

The databases are those of a DSN, sqlite://PATH or (check only) postgresql://..., or those of a store that the
configuration has under providers.indexeddb; without either, those of the store that it uses for everything.

Options:
  --config PATH         Configuration file, as for serve. Not together with a DSN.
  --db NAME             This database only; may be repeated.
  -h, --help            This text.

Exit status: 0 done, 1 problems found by check, 2 the command could not be carried out.
"""
