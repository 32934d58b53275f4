"""One `gestaltd provider dev`: a host that runs the provider, and what a change of the provider's files leads to."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import structlog

from gestalt_host.config import HostConfig
from gestalt_host.daemon.console import Console
from gestalt_host.daemon.errors import CommandFailed
from gestalt_host.daemon.host import Host
from gestalt_host.daemon.locking.faults import LockUse
from gestalt_host.daemon.locking.installing import OwnInstallation
from gestalt_host.daemon.provider.authoring.dev_config import EXAMPLE, Developed
from gestalt_host.daemon.provider.authoring.dev_lines import calls_of
from gestalt_host.daemon.provider.authoring.dev_watching import Snapshot, Watcher, snapshot_of
from gestalt_host.errors import HostError
from gestalt_host.invocation.rest.catalogue import catalogue_of
from gestalt_host.packages import Launchable, Workplace, prepare, read_manifest
from gestalt_host.packages.catalogue import FILE_NAME as CATALOGUE
from gestalt_host.packages.generated_catalogues import source_digest
from gestalt_host.packages.languages import require_importable, watched_folders
from gestalt_host.supervisor import ProviderDown, ProviderStartFailed

SHOWN_FILES = 3

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class _Made:
    """What the provider was made of, to tell whether a change of files changes anything."""

    launchable: Launchable
    digest: str

    def is_as(self, other: _Made | None) -> bool:
        return other is not None and self._parts == other._parts

    @property
    def _parts(self) -> tuple[object, ...]:
        return (self.digest, self.launchable.entry.config, self.launchable.command)


class Session:
    """Runs a provider until it is told to end, and takes every change of it up."""

    def __init__(
        self,
        developed: Developed,
        config: HostConfig,
        read_config: Callable[[], Mapping[str, object]],
        watched: Sequence[Path],
        environ: Mapping[str, str],
        console: Console,
    ) -> None:
        """Take what is developed.

        Args:
            config: As it was loaded for what is developed.
            read_config: Reads the provider's configuration anew.
            watched: Files beside the provider's own whose changes count.
        """
        self._developed = developed
        self._read_config = read_config
        self._beside = watched
        self._environ = environ
        self._console = console
        self._host: Host | None = None
        self._config = config
        self._made: _Made | None = None
        """What the running process was made of; None while none is as it should be."""
        self._texts: Sequence[bytes] = ()
        self._host_texts: Sequence[bytes] = ()
        """The configuration files that the host's is put on, as they are and as they were when it was started."""
        self._is_told = True
        """Whether what was shown last of the provider is still so."""
        self._roots: Sequence[Path] = (developed.manifest.parent,)
        self._operations: Sequence[str] = ()
        self._ending: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Run the provider, and go on with every change of its files; it ends only by being cancelled."""
        watcher = await asyncio.to_thread(Watcher, self._snapshot)
        await self._take_up("")
        while True:
            changed = await watcher.next_change()
            await self._take_up(_named(changed, self._developed.manifest.parent))

    async def stop(self) -> None:
        """End the host and the provider."""
        await self._end_host()

    async def _end_host(self) -> None:
        if self._host is None:
            return
        if self._ending is None:  # it is ended once, however often somebody who waits for that is cancelled
            self._ending = asyncio.create_task(self._host.stop(), name="end of the host")
        await asyncio.shield(self._ending)
        self._host = self._ending = None

    def kill(self) -> None:
        """End every process at once."""
        if self._host is not None:
            self._host.kill()

    def _snapshot(self) -> Snapshot:
        return snapshot_of((*self._roots, *self._beside))

    async def _take_up(self, changed: str) -> None:
        """Have the provider run from its files as they are now; what is wrong with them is shown.

        Args:
            changed: Which files have changed; blank at the first time.
        """
        name, began = self._developed.name, time.monotonic()
        try:
            made = await self._prepare()
            is_same_host = self._host is not None and self._texts == self._host_texts
            if is_same_host and made.is_as(self._made):
                if not self._is_told:
                    self._console.say(f"reloaded {name}: it is again as the process that runs")
                self._is_told = True
                return
            if changed:
                self._console.say(f"changed: {changed}")
            await (self._reload(made) if is_same_host else self._run())
        except HostError as error:
            self._is_told = False
            goes_on = self._made is not None
            then = "the process that runs goes on serving" if goes_on else "the next change is taken up at once"
            self._console.say(f"not {'reloaded' if changed else 'started'} {name}: {error}\n  {then}")
            return
        self._made, self._is_told = made, True
        if changed:
            self._console.say(f"reloaded {name} in {time.monotonic() - began:.1f} s")
        self._show_calls(made.launchable)

    async def _prepare(self) -> _Made:
        """Read, build and check the provider.

        Raises:
            HostError: it cannot be run as it is.
        """
        developed = self._developed = replace(self._developed, config=self._read_config())
        manifest = read_manifest(developed.manifest)
        self._roots = await asyncio.to_thread(watched_folders, manifest)
        config = self._config = developed.load(self._environ)
        self._texts = [path.read_bytes() for path in developed.others]
        entry = developed.entry(config)
        launchable = await prepare(entry, Workplace(developed.folder, developed.folder), self._environ)
        if launchable.command is None:
            return _Made(launchable, developed.manifest.read_text(encoding="utf-8", errors="replace"))
        if developed.kind != "plugin" or (manifest.root / CATALOGUE).is_file():  # another plugin has written its own
            await require_importable(manifest, launchable.command, self._environ)
        digest = await asyncio.to_thread(source_digest, manifest.root, launchable.command)
        return _Made(launchable, digest)

    async def _reload(self, made: _Made) -> None:
        """Have the running host take the provider up as it was made.

        Raises:
            HostError: it does not; ``self._made`` says whether another process of it goes on.
        """
        assert self._host is not None
        try:
            await self._host.reload(made.launchable)
        except ProviderDown:  # it was never ready
            await self._run()
        except ProviderStartFailed as error:
            self._made = None
            raise CommandFailed(f"{error}; it is tried again") from error

    async def _run(self) -> None:
        """Start a host with the provider, in place of the one that runs.

        Raises:
            HostError: it does not start, or the provider does not.
        """
        self._made = None
        await self._end_host()
        self._host_texts = self._texts
        config = self._config
        host = self._host = Host(config, self._environ, self._console, self._installation(config))
        try:
            await host.start()
        except BaseException:
            await self._end_host()
            raise
        for report in host.provider_reports():
            if (report.kind, report.name) == (self._developed.kind, self._developed.name) and report.state == "failed":
                raise CommandFailed(report.reason)
        log.info("provider dev ready", event_name="dev.ready", provider=self._developed.name, url=host.url)

    def _installation(self, config: HostConfig) -> OwnInstallation:
        return OwnInstallation(config, LockUse.of(config), self._environ)

    def _show_calls(self, launchable: Launchable) -> None:
        """Show what can be called, where it has changed."""
        assert self._host is not None
        developed = self._developed
        kind, name, url = developed.kind, developed.name, self._host.url
        catalogue = launchable.catalogue if developed.has_process else catalogue_of(launchable.manifest)
        calls = list(calls_of(kind, name, catalogue, url, EXAMPLE, has_process=developed.has_process))
        if calls != self._operations:
            self._operations = calls
            self._console.say("\n".join(("", "Call it from another terminal:", *(f"  {call}" for call in calls), "")))


def _named(changed: Sequence[Path], root: Path) -> str:
    names = [str(path.relative_to(root)) if path.is_relative_to(root) else str(path) for path in changed]
    more = f" and {len(names) - SHOWN_FILES} more" if len(names) > SHOWN_FILES else ""
    return ", ".join(names[:SHOWN_FILES]) + more
