"""`gestaltd provider dev`: a provider in a host of its own, started again at every change of its files."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from pathlib import Path

from gestalt_host.daemon.console import Console
from gestalt_host.daemon.errors import CommandFailed, UsageWrong
from gestalt_host.daemon.options import Options
from gestalt_host.daemon.provider.authoring.dev_folder import own_folder, say_who
from gestalt_host.daemon.provider.authoring.provider_config import is_inline, read_provider_config
from gestalt_host.packages import NOTHING_WRITTEN, find_manifest, read_manifest
from gestalt_sdk.common.lean_imports import lean_imports
from gestalt_sdk.serving.event_loop import run_event_loop
from gestalt_sdk.serving.logs import configure_logging

HELP = """\
Run the provider in a folder in a host of its own, show what it writes, and start it again whenever its files change. A
plugin is run with a store and a workflow provider, a workflow provider or a store with an example plugin. What can be
called is printed. The state of the host stays in .gestalt-dev in the folder of the provider.

Usage:
  gestaltd provider dev [PATH] [--name NAME] [--config FILE|JSON] [--port PORT] [--with FILE]...

PATH is the folder of the provider, or its manifest; without it this folder. --path PATH is the same. Ctrl-C ends
everything.

Options:
  --name NAME         How the provider is called; without it as the last part of its manifest's source.
  --config FILE|JSON  The provider's configuration: JSON that begins with {, or a YAML or JSON file. {dir} in a text of
                      it becomes the directory of the host's state.
  --port PORT         Where the HTTP API listens, on 127.0.0.1; without it a free port.
  --with FILE         A configuration file with further plugins, providers and workflows; may be repeated.
  -h, --help          This text.

A change that cannot be built or imported is shown, and the process that runs goes on serving. docs/providers/dev.md
says more.
"""
LOCAL = "127.0.0.1"
MOST_PORT = 65535


def run(options: Options, environ: Mapping[str, str]) -> None:
    """Run the provider until a signal comes.

    Raises:
        HostError: there is nothing to run, another process has it, or the port is taken.
    """
    # Most of what there is to import; help needs none of it.
    with lean_imports():
        from gestalt_host.daemon.provider.authoring.dev_config import Developed
        from gestalt_host.daemon.provider.authoring.dev_lines import shown
        from gestalt_host.daemon.provider.authoring.dev_session import Session
        from gestalt_host.daemon.serving import serve_until_stopped

    manifest = read_manifest(_manifest(options))
    given, others = options.last("config"), [Path(name).absolute() for name in options.all("with")]
    port = _port(options.last("port"))
    root = manifest.root.absolute()
    environ = {**environ, **NOTHING_WRITTEN}
    with own_folder(root) as folder:
        developed = Developed.of(manifest, folder, port, _config(given), others, name=options.last("name"))
        config = developed.load(environ)
        say_who(folder, f"http://{LOCAL}:{port}")
        configure_logging("gestaltd", render=lambda fields: shown(fields, root))
        watched = [*others, *([Path(given).absolute()] if given and not is_inline(given) else [])]
        console = Console()
        session = Session(developed, config, lambda: _config(given), watched, environ, console)
        run_event_loop(serve_until_stopped(session, console))


def _manifest(options: Options) -> Path:
    if options.arguments and options.all("path"):
        raise UsageWrong(f"unexpected arguments: {' '.join(options.arguments)}")
    path = Path((options.arguments or options.all("path") or ["."])[-1]).absolute()
    if not path.exists():
        raise CommandFailed(f"{path}: no such file or directory")
    return find_manifest(path) if path.is_dir() else path


def _config(given: str) -> Mapping[str, object]:
    found = read_provider_config(given)
    if str(found.get("apiVersion", "")).startswith("gestaltd.config/"):
        raise CommandFailed("--config is the configuration of a host, and no provider's; --with takes it")
    return found


def _port(text: str) -> int:
    """Return the port that was asked for, else a free one.

    Raises:
        CommandFailed: it is none, or taken.
    """
    if text and not (text.isascii() and text.isdecimal() and 0 < int(text) <= MOST_PORT):
        raise CommandFailed(f'--port "{text}" is not accepted; accepted is 1 to {MOST_PORT}')
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOCAL, int(text or 0)))
        except OSError as error:
            raise CommandFailed(f"--port {text}: {(error.strerror or str(error)).lower()}") from error
        port: int = probe.getsockname()[1]
    return port
