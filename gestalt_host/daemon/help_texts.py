"""Help texts of `gestaltd` and its commands."""

from __future__ import annotations

_CONFIG_ONLY = """\
  --config PATH         Configuration file. Repeated --config flags merge left-to-right.
                        Without any: $GESTALT_CONFIG, ./config.yaml, ~/.gestaltd/config.yaml."""
_CONFIG = f"""\
{_CONFIG_ONLY}
  --artifacts-dir PATH  Where prepared packages are kept; relative to the first configuration file's directory."""
_LOCKFILE = """\
  --lockfile PATH       Lock file; without it gestalt.lock.json beside the first configuration file."""

ROOT = f"""\
gestaltd serves Gestalt: an HTTP API in front of plugins, and the workflows that invoke them later.

Usage:
  gestaltd [--config PATH]... [--artifacts-dir PATH] [--lockfile PATH]
  gestaltd serve [--config PATH]... [--artifacts-dir PATH] [--lockfile PATH] [--locked]
  gestaltd lock [--config PATH]... [--lockfile PATH] [--platform LIST|all] [--check]
  gestaltd sync --locked [--config PATH]... [--artifacts-dir PATH] [--lockfile PATH] [--check]
  gestaltd validate [--config PATH]... [--artifacts-dir PATH] [--lockfile PATH] [--platform OS/ARCH] [--runtime]
  gestaltd store backup|restore|check ...
  gestaltd provider <command> [flags]
  gestaltd version

Without a command it serves, and when no configuration exists anywhere it first writes one to
~/.gestaltd/config.yaml that needs no network and listens on 127.0.0.1 only.

Commands:
  serve     Start the providers and serve the API until SIGINT or SIGTERM.
  lock      Resolve the sources of providers and write the lock file.
  sync      Install what the lock file names, exactly that.
  validate  Check the configuration and the packages that it names, without serving anything.
  store     Back up, restore and check the databases of the bundled store.
  provider  Find provider packages, release one's own, and look into running ones.
  version   Print the version.

Options:
{_CONFIG}
{_LOCKFILE}
  -h, --help            This text.
"""

SERVE = f"""\
Start the providers and serve the API until SIGINT or SIGTERM. A second SIGINT, or any signal 2 s later, ends everything
at once.

Usage:
  gestaltd serve [--config PATH]... [--artifacts-dir PATH] [--lockfile PATH] [--locked]

Packages from releases that are locked and installed are used as they are; what is not is resolved, locked and installed
first. With --locked nothing is: the lock file and what is installed must match the configuration.

Standard output has one line when the host is ready and one for each finished run; logs are JSON lines on standard
error.

Options:
{_CONFIG}
{_LOCKFILE}
  --locked              Resolve, download and write nothing; refuse to start where anything is not as locked.
  -h, --help            This text.
"""

LOCK = f"""\
Resolve the source of every provider and write canonical lock metadata: versions, archives and their digests. Every
archive for this platform is downloaded and checked, and so are schemas, catalogues and invoked operations. Of the
secrets in the configuration only the tokens of sources are fetched, and variables that are not set count as empty.

Usage:
  gestaltd lock [--config PATH]... [--lockfile PATH] [--platform LIST|all] [--check]

Options:
{_CONFIG_ONLY}
{_LOCKFILE}
  --platform LIST       Check the archives of these platforms too: os/arch with commas between, or all.
  --check               Write nothing; fail when the lock file is not what would be written.
  -h, --help            This text.
"""

SYNC = f"""\
Materialize prepared artifacts: install every package that the lock file names, where it is not installed as locked, and
build local sources. Nothing is resolved anew.

Usage:
  gestaltd sync --locked [--config PATH]... [--artifacts-dir PATH] [--lockfile PATH] [--check]

Options:
{_CONFIG}
{_LOCKFILE}
  --locked              Required.
  --check               Install nothing; fail when anything is not as locked.
  -h, --help            This text.
"""

VALIDATE = f"""\
Check the configuration, the packages that it names, and the operations and inputs of its schedules and triggers. Every
fault is reported with file, line and dotted path. Variables that are not set are named as warnings and count as empty,
and secrets are not fetched.

Usage:
  gestaltd validate [--config PATH]... [--artifacts-dir PATH] [--lockfile PATH] [--platform OS/ARCH] [--runtime]

Repeated --config flags merge left-to-right. Packages from releases are known by the lock file.

Options:
{_CONFIG}
{_LOCKFILE}
  --platform OS/ARCH    Check that packages are there for this platform, rather than for this machine's.
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
  --config PATH         Configuration file, as for serve. Not together with a DSN, nor are the next two.
  --lockfile PATH       Of a store from a release: lock file, as for serve.
  --artifacts-dir PATH  Of a store from a release: where it is installed, as for serve.
  --db NAME             This database only; may be repeated.
  -h, --help            This text.

Exit status: 0 done, 1 problems found by check, 2 the command could not be carried out.
"""
