"""`gestaltd serve`, `validate` and `version`; each returns when it is done or raises ``HostError``."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

import structlog

from gestalt_host.config import (
    CONFIG_VARIABLE,
    ConfigurationInvalid,
    ConfigurationUnreadable,
    HostConfig,
    Problem,
    find_config,
    load,
    require_serveable,
    user_config_path,
)
from gestalt_host.config.errors import Faults
from gestalt_host.config.model import ProviderEntry
from gestalt_host.daemon.console import Console, show
from gestalt_host.daemon.default_config import write_default_config
from gestalt_host.daemon.errors import CommandFailed
from gestalt_host.daemon.judging import Judgement, judge_providers
from gestalt_host.daemon.launchables import launched_entries, prepare_entries
from gestalt_host.daemon.locking.faults import LockUse, require_installed
from gestalt_host.daemon.locking.installing import Installation, LockedInstallation, OwnInstallation
from gestalt_host.daemon.locking.packages import LockedPackages
from gestalt_host.daemon.options import Options
from gestalt_host.daemon.plugins import declarative_plugin, process_plugin
from gestalt_host.daemon.until_stopped import run_or_stop
from gestalt_host.daemon.validation import key_problems, key_warnings, operation_problems
from gestalt_host.errors import HostError
from gestalt_host.invocation.assembly import EntryUnfit
from gestalt_host.invocation.model import ConfiguredPlugin, Invocation, OperationResult
from gestalt_host.packages import NOTHING_WRITTEN, Workplace
from gestalt_host.packages.errors import PackageInvalid, PackageUnprovided
from gestalt_host.packages.fitting import read_fitting
from gestalt_host.packages.installed.readings import Readings
from gestalt_host.packages.lock.currency import is_release, key_of, label, lockable_entries
from gestalt_host.packages.lock.offered import require_fit
from gestalt_host.packages.platforms import host_platform, is_platform
from gestalt_host.packages.scratch import scratch_directory
from gestalt_sdk.common.lean_imports import lean_imports
from gestalt_sdk.serving.event_loop import run_event_loop
from gestalt_sdk.serving.streams import tell

log = structlog.get_logger()


def serve(options: Options, environ: Mapping[str, str], *, generate: bool) -> None:
    """Load the configuration and serve it.

    Args:
        generate: Write the default configuration first when none is found anywhere.
    """
    # Most of what there is to import, and no other command needs it; before anything is written.
    with lean_imports():
        from gestalt_host.daemon.serving import run_until_stopped
        from gestalt_host.supervisor import ProviderStartFailed

    paths = find_config(options.all("config"), environ)
    is_chosen = bool(options.all("config") or environ.get(CONFIG_VARIABLE))
    if generate and not is_chosen and paths == [user_config_path(environ)] and not paths[0].exists():
        _generate(paths[0])
    config = load_config(options, paths, environ, static=False)
    try:
        require_serveable(config)
    except ConfigurationInvalid as error:
        raise CommandFailed(str(error)) from error
    use = LockUse.of(config, options)
    installation: Installation = OwnInstallation(config, use, environ)
    if "locked" in options.flags:
        readings = Readings()
        require_installed(config, use, readings)
        installation = LockedInstallation(config, readings)
    try:
        run_event_loop(run_until_stopped(config, environ, Console(), installation))
    except ProviderStartFailed as error:
        if error.last_lines:
            log.error("provider did not start", event_name="provider.start_failed", last_lines=error.last_lines)
        raise


def validate(options: Options, environ: Mapping[str, str]) -> None:
    """Check the configuration and every package that it names; nothing is written beside the configuration.

    With ``--runtime`` as `serve` would: variables and secrets must be there, and providers judge their own ``config``.
    """
    is_runtime = "runtime" in options.flags
    platform = _platform(options, is_runtime=is_runtime)
    config = load_config(options, find_config(options.all("config"), environ), environ, static=not is_runtime)
    warnings: list[object] = [*config.unset, *key_warnings(config)]
    try:
        if is_runtime:
            _require_serveable(config)
        warnings += [replace(problem, reason=f"{problem.reason}; serve refuses it") for problem in config.unprovided]
        checks = _checked(config, environ, LockUse.of(config, options), platform, is_runtime=is_runtime)
    except HostError:
        _warn(warnings)
        raise
    warnings += (*checks.judgement.warnings, *checks.unchecked)
    failures = checks.failures
    problems = [
        *key_problems(config),
        *checks.problems,
        *operation_problems(config, checks.plugins),
        *checks.judgement.problems,
    ]
    if problems:
        failures.append(ConfigurationInvalid(problems))
    if failures:
        _warn(warnings)
        raise CommandFailed("\n".join(str(failure) for failure in failures))
    show(_summary(config, checks))
    _warn(warnings)
    show(f"config ok: {len(config.schedules)} schedules, {len(config.event_triggers)} event triggers")


def _require_serveable(config: HostConfig) -> None:
    try:
        require_serveable(config)
    except ConfigurationInvalid as error:
        raise CommandFailed(f"loading config: {error}") from error


def _checked(
    config: HostConfig, environ: Mapping[str, str], use: LockUse, platform: str, *, is_runtime: bool
) -> _Checks:
    with scratch_directory("validate") as scratch:
        locked = LockedPackages(config, use, scratch, platform)
        checks = _Checks(config, {**environ, **NOTHING_WRITTEN}, scratch, locked, is_runtime=is_runtime)
        run_event_loop(run_or_stop(checks.run()))
    return checks


def _platform(options: Options, *, is_runtime: bool) -> str:
    """Return the platform that ``--platform`` names, blank without one."""
    platform = options.last("platform")
    if platform and not is_platform(platform):
        raise CommandFailed(f'invalid --platform "{platform}", expected os/arch')
    if is_runtime and platform not in ("", host_platform()):
        raise CommandFailed(
            "--runtime validation executes host providers; --platform must be omitted or equal the host platform "
            f'"{host_platform()}"'
        )
    return platform


def load_config(
    options: Options, paths: list[Path], environ: Mapping[str, str], *, static: bool, tokens: bool | None = None
) -> HostConfig:
    """Load the configuration and log what it sets and nothing reads.

    Args:
        static, tokens: As for ``load``.
    Raises:
        CommandFailed: it cannot be read or is invalid.
    """
    try:
        config = load(paths, environ, static=static, tokens=tokens)
    except (ConfigurationInvalid, ConfigurationUnreadable) as error:
        if isinstance(error, ConfigurationInvalid):
            _warn(error.unset)
        raise CommandFailed(f"loading config: {error}") from error
    _check_provider_keys(config)
    for item in config.unused:
        log.warning(
            "configuration key is not used",
            event_name="config.unused",
            path=item.path,
            place=str(item.place),
            reason=item.reason,
        )
    artifacts_dir = options.last("artifacts-dir")
    if artifacts_dir:
        server = replace(config.server, artifacts_dir=(config.directory / artifacts_dir).resolve())
        config = replace(config, server=server)
    return config


def _check_provider_keys(config: HostConfig) -> None:
    if not config.provider_keys:
        return
    from gestalt_host.packages.signatures import check_public_key

    faults = Faults()
    for name, key in config.provider_keys.items():
        try:
            check_public_key(key)
        except PackageInvalid as error:
            faults.add(config.provider_key_places[name], f"providerKeys.{name}", str(error))
    try:
        faults.raise_any()
    except ConfigurationInvalid as error:
        raise CommandFailed(f"loading config: {error}") from error


def _warn(problems: Iterable[object]) -> None:
    for problem in problems:
        tell(f"warning: {problem}")


def _generate(path: Path) -> None:
    try:
        write_default_config(path)
    except FileExistsError:
        return
    except OSError as error:
        raise CommandFailed(f"writing default config {path}: {error.strerror}") from error
    log.info("generated default config", event_name="config.generated", path=str(path))


class _Checks:
    """The checks of `validate` that need packages or processes, and what they have found."""

    def __init__(
        self,
        config: HostConfig,
        environ: Mapping[str, str],
        scratch: Path,
        locked: LockedPackages,
        *,
        is_runtime: bool,
    ) -> None:
        self._config = config
        self._environ = environ
        self._scratch = scratch
        self._locked = locked
        self._is_runtime = is_runtime
        self.plugins: dict[str, ConfiguredPlugin] = {}
        self.failures: list[Exception] = []
        self.problems: list[Problem] = []
        self.judgement = Judgement()

    @property
    def unchecked(self) -> list[Problem]:
        """What could not be checked: a package is not installed, or this version cannot use it."""
        return self._locked.warnings

    async def run(self) -> None:
        """Check that every package is there and fits its entry, and ask the providers with ``--runtime``."""
        there = await asyncio.to_thread(self._locked.sort, is_runtime=self._is_runtime)
        workplace = Workplace(self._config.artifacts_dir, self._scratch)
        launchables = await prepare_entries(there, self._environ, workplace, {})
        started = {key_of(entry) for entry in launched_entries(there)}
        for entry, failure in launchables.failed_plugins.values():
            if self._is_runtime or not isinstance(failure, PackageUnprovided):
                self.failures.append(failure)
                continue
            started.discard(key_of(entry))
            self.unchecked.append(Problem(entry.place, entry.path, f"{failure}; serve starts without it"))
        others = [item for item in lockable_entries(there) if not is_release(item) and key_of(item) not in started]
        self.failures += await asyncio.to_thread(_unfit, others)
        known = [(item.entry, item.manifest, item.catalogue) for item in launchables.plugins.values()]
        deny = self._config.server.egress_deny
        for entry, manifest, catalogue in (*known, *self._locked.plugins):
            try:
                if catalogue is None:
                    self.plugins[entry.name], runner = declarative_plugin(entry, manifest, egress_deny=deny)
                    await runner.close()
                else:
                    plugin = process_plugin(entry, manifest, catalogue, _NoRunner(), egress_deny=deny)
                    self.plugins[entry.name] = plugin
            except EntryUnfit as error:
                self.problems.append(error.problem)
        if self._is_runtime:
            self.judgement = await judge_providers(self._config, launchables, self._environ, self._scratch)


def _unfit(entries: Iterable[ProviderEntry]) -> list[Exception]:
    """Return what is wrong with packages that lie here and that nothing has prepared, because they are not started."""
    failures: list[Exception] = []
    for entry in entries:
        try:
            require_fit(read_fitting(entry), entry)
        except PackageInvalid as error:
            failures.append(PackageInvalid(f"{label(entry)}: {error}", error.reason))
    return failures


def _summary(config: HostConfig, checks: _Checks) -> str:
    public = config.server.public
    rows = [
        ("files", ", ".join(str(path) for path in config.files)),
        ("listener", f"{public.host or '127.0.0.1'}:{public.port}"),
        ("base URL", public.base_url or "(not set)"),
        ("encryption key", "***" if config.server.encryption_key else "(not set)"),
        ("indexeddb", config.indexeddb or "(not set)"),
        ("workflow", ", ".join(sorted(config.providers["workflow"])) or "(not set)"),
    ]
    lines = ["config loaded", *(f"  {label:<15} {value}" for label, value in rows)]
    lines += [
        f"integration configured: {name} ({len(plugin.operations)} operations)"
        for name, plugin in sorted(checks.plugins.items())
    ]
    lines += [f"checked by the provider itself: {path}" for path in checks.judgement.checked]
    lines += [f"not checked, the provider does not offer it: {path}" for path in checks.judgement.unchecked]
    return "\n".join(lines)


class _NoRunner:
    async def invoke(self, invocation: Invocation) -> OperationResult:
        raise NotImplementedError("nothing is invoked while a configuration is checked")
