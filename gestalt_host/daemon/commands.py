"""`gestaltd serve`, `validate` and `version`; each returns when it is done or raises ``HostError``."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import replace
from importlib import metadata
from pathlib import Path

import structlog

from gestalt_host.config import (
    ConfigurationInvalid,
    ConfigurationUnreadable,
    HostConfig,
    find_config,
    load,
    require_serveable,
    user_config_path,
)
from gestalt_host.daemon.console import Console
from gestalt_host.daemon.default_config import write_default_config
from gestalt_host.daemon.errors import CommandFailed
from gestalt_host.daemon.options import Options
from gestalt_host.daemon.preparation import prepare_entries
from gestalt_host.daemon.serving import serve as serve_until_stopped
from gestalt_host.errors import HostError
from gestalt_host.invocation.assembly import make_plugin
from gestalt_host.invocation.model import Execution, OperationResult
from gestalt_sdk.serve import run_event_loop

log = structlog.get_logger()


def serve(options: Options, environ: Mapping[str, str], *, generate: bool) -> None:
    """Load the configuration and serve it.

    Args:
        generate: Write the default configuration first when none is found anywhere.
    """
    paths = find_config(options.all("config"), environ)
    if generate and not options.all("config") and paths == [user_config_path(environ)] and not paths[0].exists():
        _generate(paths[0])
    config = _load(options, paths, environ, static=False)
    try:
        require_serveable(config)
    except ConfigurationInvalid as error:
        raise CommandFailed(str(error)) from error
    run_event_loop(serve_until_stopped(config, environ, Console()))


def validate(options: Options, environ: Mapping[str, str]) -> None:
    """Check the configuration and every package that it names; nothing is written beside the configuration."""
    config = _load(options, find_config(options.all("config"), environ), environ, static=True)
    if config.unprovided:
        raise CommandFailed(f"loading config: {ConfigurationInvalid(config.unprovided)}")
    public = config.server.public
    log.info(
        "config loaded",
        event_name="config.loaded",
        files=[str(path) for path in config.files],
        port=public.port,
        host=public.host or "(not set)",
        base_url=public.base_url or "(not set)",
        server_encryption="***" if config.server.encryption_key else "(not set)",
        indexeddb=config.indexeddb or "(not set)",
        workflow=config.workflow or "(not set)",
    )
    with tempfile.TemporaryDirectory(prefix="gestaltd-validate-") as scratch:
        run_event_loop(_check_packages(config, environ, Path(scratch)))
    for name in config.plugins:
        log.info("integration configured", event_name="config.plugin", plugin=name)
    log.info("config ok", event_name="config.ok")


def version() -> str:
    """The version of the distribution, ``dev`` where it is not installed."""
    try:
        return metadata.version("gestalt")
    except metadata.PackageNotFoundError:
        return "dev"


def _load(options: Options, paths: list[Path], environ: Mapping[str, str], *, static: bool) -> HostConfig:
    try:
        config = load(paths, environ, static=static)
    except (ConfigurationInvalid, ConfigurationUnreadable) as error:
        raise CommandFailed(f"loading config: {error}") from error
    artifacts_dir = options.last("artifacts-dir")
    if artifacts_dir:
        server = replace(config.server, artifacts_dir=(config.directory / artifacts_dir).resolve())
        config = replace(config, server=server)
    return config


def _generate(path: Path) -> None:
    try:
        write_default_config(path)
    except FileExistsError:
        return
    except OSError as error:
        raise CommandFailed(f"writing default config {path}: {error.strerror}") from error
    log.info("generated default config", event_name="config.generated", path=str(path))


async def _check_packages(config: HostConfig, environ: Mapping[str, str], scratch: Path) -> None:
    preparation = await prepare_entries(config, environ, scratch)
    problems: list[HostError] = list(preparation.failed_plugins.values())
    for prepared in preparation.plugins.values():
        try:
            if prepared.catalogue is not None:
                make_plugin(prepared.entry, prepared.manifest, prepared.catalogue, _NoRunner())
        except HostError as error:
            problems.append(error)
    if problems:
        raise CommandFailed("\n".join(str(problem) for problem in problems))


class _NoRunner:
    async def execute(self, execution: Execution) -> OperationResult:
        raise NotImplementedError("nothing is invoked while a configuration is checked")
