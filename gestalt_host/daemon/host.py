"""The running host: the order in which its parts start, when it is ready, and the order in which they stop.

Start: packages installed, stores, workflow providers beside plugins, configured workflows, listener, plugins ready,
workflow providers told to begin (config.md 18.3, semantics.md 20). Stop: listener, workflow providers with time to
finish, plugins, stores.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Mapping
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import structlog
from starlette.types import ASGIApp, Receive, Scope, Send

from gestalt_host.access.keys import master_key
from gestalt_host.access.sign_in.users import Users
from gestalt_host.access.subjects import Principal
from gestalt_host.config.model import HostConfig, ProviderEntry
from gestalt_host.daemon.concurrency import all_of, every_one
from gestalt_host.daemon.console import Console
from gestalt_host.daemon.errors import CommandFailed
from gestalt_host.daemon.launchables import Launchables, launched_entries, prepare_entries
from gestalt_host.daemon.locking.installing import Installation
from gestalt_host.daemon.reports.metrics import LineMetrics, ProviderMetrics, RestMetrics, ToldMetrics
from gestalt_host.daemon.reports.providers import Unhealthy, provider_reports
from gestalt_host.daemon.shutdown import Countdown, ShutdownPlan
from gestalt_host.daemon.wiring import HOST_DATABASE, Wiring, add_plugins, make_store, timings_of
from gestalt_host.errors import HostError, reason_of
from gestalt_host.hostservices.control import ControlSocket, HostControlServicer, Issuer
from gestalt_host.http.app import create_app
from gestalt_host.http.connections import Capacity
from gestalt_host.http.listener import Listener, ListenFailed
from gestalt_host.http.origins import AllowedHosts
from gestalt_host.http.services import HttpServices
from gestalt_host.http.starting import StartingApplication
from gestalt_host.packages import Launchable
from gestalt_host.supervisor import (
    BoundStore,
    ProcessGroups,
    ProviderDown,
    ProviderProcess,
    State,
    Store,
    Timings,
    sweep_stale,
)
from gestalt_host.supervisor.about import HOST, HostAbout
from gestalt_host.supervisor.output.recent import RecentOutput
from gestalt_host.supervisor.reports import ProviderReport
from gestalt_sdk.common.beats import Beat, Beats
from gestalt_sdk.common.loops import keep_running
from gestalt_sdk.common.open_files import open_files, raise_open_files
from gestalt_sdk.indexeddb import IndexedDB
from gestalt_sdk.serving.streams import log_lines_dropped
from gestalt_sdk.serving.watchdog import Watchdog
from gestalt_sdk.transport.environment import Address

PLUGIN_GRACE_S = 2.0
STORE_GRACE_S = 2.0
HEALTH_EVERY_S = 5.0
LOCAL_ONLY = "127.0.0.1"
SOON = "the host is starting"

log = structlog.get_logger()


class Host:
    """One `gestaltd serve`. ``start`` once, then ``stop`` once, whatever ``start`` did."""

    def __init__(
        self, config: HostConfig, environ: Mapping[str, str], console: Console, installation: Installation
    ) -> None:
        self._config = config
        self._installation = installation
        self._environ = environ
        self._console = console
        self._wiring: Wiring | None = None
        self._stores: dict[str, Store] = {}
        self._records: IndexedDB | None = None
        self._user: Principal | None = None
        self._http = AsyncExitStack()
        self._listener: Listener | None = None
        self._app: ASGIApp | None = None
        """What answers now: it says that the host is starting until there is an API."""
        self._preparing: set[str] = set()
        """Entries whose packages are being prepared."""
        self._tasks: list[asyncio.Task[Any]] = []
        self._slow_plugins: set[ProviderProcess] = set()
        self._plugins_loaded = False
        self._workflows_begun = False
        self._started = datetime.now(UTC)
        self._launchables = Launchables()
        self._unhealthy: dict[Store | ProviderProcess, Unhealthy] = {}
        """What stores and workflow providers that run say is wrong with them."""
        self._about = HostAbout()
        self._control: ControlSocket | None = None
        self._beats = Beats()
        self._groups = ProcessGroups(self._beats)
        self._watchdog: Watchdog | None = None
        self._told_metrics = ToldMetrics(self._processes)

    async def start(self) -> None:
        """Start everything; returns when the host is ready.

        Raises:
            HostError: a store, a workflow provider, the configured workflows or the listener failed.
        """
        self._watchdog = Watchdog(self._beats)
        raise_open_files()
        await self._listen()
        self._about = HostAbout.of_this_process(self.url, self._config.files)
        await sweep_stale()
        self._control = ControlSocket(
            HostControlServicer(self._reports, self._outputs, self._token_issuer), self._about
        )
        await self._control.start()
        self._groups.start()
        config = self._config
        key = asyncio.create_task(asyncio.to_thread(master_key, config.server.encryption_key), name="master key")
        self._tasks.append(key)
        entries = launched_entries(config)
        workplace, failures = await self._installation.ready(entries, self._preparing)
        launchables = self._launchables = await prepare_entries(
            config, self._environ, workplace, failures, self._preparing
        )
        timings = timings_of(config.server.supervision, self._shutdown)
        await self._start_stores(launchables, timings)
        bindings: dict[str, BoundStore] = {}
        plugin_bindings: dict[str, BoundStore | HostError] = {}
        # A store without scopes starts a process for each.
        await all_of(
            (
                self._open_own_records(),
                self._bind_workflows(config, bindings),
                self._bind_plugins(launchables, plugin_bindings),
            )
        )
        wiring = self._wiring = Wiring(
            config,
            await key,
            self._environ,
            self._console.run,
            launchables.workflows,
            bindings,
            timings,
            self._beats,
            self._groups,
            self._about,
        )
        for name, process in wiring.processes.workflows.items():
            if (binding := config.providers["workflow"][name].indexeddb) is not None:
                self._stores[binding.provider].needed_by(process)
        wiring.metrics.register(ProviderMetrics(self._processes, self.provider_reports))
        wiring.metrics.register(self._told_metrics)
        wiring.metrics.register(RestMetrics(wiring.rest_runners.values))
        wiring.metrics.register(LineMetrics(lambda: {"log": log_lines_dropped(), "console": self._console.dropped}))
        add_plugins(wiring, launchables, plugin_bindings)
        for name, error in wiring.failed_plugins.items():
            self._console.failure(name, error)
        plugins = {self._own(self._start_plugin(process)): process for process in wiring.processes.plugins.values()}
        await all_of(process.start() for process in wiring.processes.workflows.values())
        await wiring.reconciliation().run(config.schedules, config.event_triggers)
        self._serve_api(wiring)
        await self._plugins_started(plugins, timings.slow_start_s)
        self._plugins_loaded = True
        missing = {plugin.name: absence for plugin in wiring.plugins if (absence := plugin.absence())}
        ready = len(config.plugins) - len(missing)
        if missing:
            text = "providers ready but for some plugins"
            log.warning(text, event_name="host.plugins_ready", count=ready, missing=missing)
        else:
            log.info("all providers ready", event_name="host.plugins_ready", count=ready)
        await all_of(process.begin() for process in wiring.processes.workflows.values())
        self._workflows_begun = True
        log.info("workflow providers ready", event_name="host.workflows_ready", count=len(wiring.processes.workflows))
        self._own(keep_running("health of providers", self._watch_health, self._beats))
        failed = {name: reason_of(error) for name, error in wiring.failed_plugins.items()}
        self._console.ready(self.url, ready, len(config.plugins), failed, str(config.files[0]))

    @property
    def url(self) -> str:
        """Where the API is reached from this machine."""
        host = self._address()
        port = self._listener.port if self._listener is not None else self._config.server.public.port
        shown = LOCAL_ONLY if host in ("", "0.0.0.0", "::") else host
        return f"http://[{shown}]:{port}" if ":" in shown else f"http://{shown}:{port}"

    @property
    def _shutdown(self) -> ShutdownPlan:
        return ShutdownPlan.of(self._config.server.supervision.shutdown)

    def readiness(self) -> str | None:
        """Return why the host is not ready, None when it is."""
        if not self._plugins_loaded:
            return self._loading()
        assert self._wiring is not None
        workflows = self._wiring.processes.workflows.values()
        for process in workflows:
            if process.state is State.SILENT or (self._workflows_begun and process.absence):
                return f"workflow provider {process.name}: {process.absence}"
        if not self._workflows_begun:
            return "workflow providers loading"
        for name, store in self._stores.items():
            if problem := self._problem(store):
                return f"datastore unavailable: {name}: {problem}"
        for process in workflows:
            if problem := self._problem(process):
                return f"workflow provider {process.name}: {problem}"
        return "; ".join(beat.describe() for beat in self._beats.look()) or None

    def shortcomings(self) -> list[str]:
        """Return what is not as it should be, by name, whether the host is ready in spite of it or not.

        That is providers that cannot be called now or are not healthy, removed sockets, and what workflow providers
        give notice of.
        """
        found = [
            f"store {name}: {problem}" for name, store in self._stores.items() if (problem := self._problem(store))
        ]
        if self._wiring is not None:
            processes = self._wiring.processes
            found += [f"plugin {item.name}: {absence}" for item in self._wiring.plugins if (absence := item.absence())]
            found += [f"plugin {item.name}: {item.lack}" for item in processes.plugins.values() if item.lack]
            found += [f"store {name}: {store.lack}" for name, store in self._stores.items() if store.lack]
            for item in processes.workflows.values():
                if problem := self._problem(item):
                    found.append(f"workflow provider {item.name}: {problem}")
                if item.lack:
                    found.append(f"workflow provider {item.name}: {item.lack}")
                found += [f"workflow provider {item.name}: {notice.text}" for notice in item.notices]
        if self._listener is not None and self._listener.connections.lack:
            found.append(self._listener.connections.lack)
        return sorted(found)

    def provider_reports(self) -> list[ProviderReport]:
        """Return what is known of every configured provider; none before their processes are made."""
        if self._wiring is None:
            return []
        return provider_reports(
            self._config,
            self._launchables,
            self._wiring,
            self._stores,
            self._unhealthy,
            self._started,
        )

    async def reload(self, launchable: Launchable) -> None:
        """Start the process of one provider again from what was prepared anew; everything else goes on.

        Raises:
            ProviderDown: it was never ready, so that the host has to be started anew.
            ProviderStartFailed: the new process did not start; it is tried again, also by the next reload.
            HostError: the entry does not fit the package; the process goes on as it is.
        """
        entry, command = launchable.entry, launchable.command
        if self._wiring is None:
            raise ProviderDown(SOON)
        if entry.kind == "plugins":
            await self._wiring.reload_plugin(launchable)
            self._launchables.plugins[entry.name] = launchable
            return
        assert command is not None, "only plugins can do without a process"
        if entry.kind == "indexeddb":
            await self._stores[entry.name].reload(command, entry.config)
            self._launchables.stores[entry.name] = launchable
        else:
            await self._wiring.processes.workflows[entry.name].reload(command, entry.config)
            self._launchables.workflows[entry.name] = launchable

    def _problem(self, item: Store | ProviderProcess) -> str:
        """Return why a store or workflow provider cannot be called or is not healthy; blank when all is well."""
        if item.absence or item not in self._unhealthy:
            return item.absence
        return str(self._unhealthy[item])

    async def stop(self) -> None:
        """Stop in order, within the configured time; every process has ended and every socket is gone afterwards."""
        plan = self._shutdown
        countdown = Countdown(plan)
        try:
            async with asyncio.timeout(plan.total_s):
                await self._stop_in_order(countdown)
        except TimeoutError:
            log.warning("shutdown took too long", event_name="host.killed", after_s=plan.total_s)
            self.kill()
        if self._control is not None:
            await self._control.stop()
        await self._groups.stop()

    async def _stop_in_order(self, countdown: Countdown) -> None:
        plan = countdown.plan
        if self._watchdog is not None:
            self._watchdog.stop()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        closing = asyncio.create_task(self._http.aclose(), name="closing the listener")
        await asyncio.wait((closing,), timeout=countdown.left_s(plan.requests_alone_s))
        workflows, plugins = self._processes_of_wiring()
        grace_s = countdown.left_s(plan.finished_s)
        await every_one((closing, *(process.stop(grace_s) for process in workflows)))
        # Each of the two last stages has half of what is left.
        grace_s = min(PLUGIN_GRACE_S, countdown.left_s(plan.total_s) / 2)
        await every_one((*(process.stop(grace_s) for process in plugins), *self._close_rest_runners()))
        if self._records is not None:
            await self._records.close()
        grace_s = min(STORE_GRACE_S, countdown.left_s(plan.total_s) / 2)
        await every_one(store.stop(grace_s) for store in self._stores.values())

    def _close_rest_runners(self) -> list[Coroutine[Any, Any, None]]:
        """Return the closing of what sends the requests of plugins without a process."""
        return [] if self._wiring is None else [runner.close() for runner in self._wiring.rest_runners.values()]

    def kill(self) -> None:
        """End every process at once, for somebody who does not want to wait."""
        for process in self._processes():
            process.kill()
        if self._control is not None:
            self._control.remove()

    def _processes(self) -> list[ProviderProcess]:
        """Return every process, in the order in which they are stopped."""
        workflows, plugins = self._processes_of_wiring()
        return [*workflows, *plugins, *(process for store in self._stores.values() for process in store.processes)]

    def _reports(self) -> list[ProviderReport]:
        """Return what is known of every configured provider, also while the host is starting."""
        if self._wiring is not None:
            return self.provider_reports()
        config = self._config
        sections = {"plugin": config.plugins, **{kind: config.providers[kind] for kind in ("indexeddb", "workflow")}}
        names = sorted((kind, name) for kind, section in sections.items() for name in section)
        return [ProviderReport(kind, name, "starting", self._started, reason=SOON) for kind, name in names]

    def _processes_of(self, kind: str, name: str) -> list[ProviderProcess]:
        """Return the processes of one configured provider."""
        if kind == "indexeddb":
            store = self._stores.get(name)
            return [] if store is None else store.processes
        if self._wiring is None:
            return []
        processes = self._wiring.processes
        found = (processes.plugins if kind == "plugin" else processes.workflows).get(name)
        return [] if found is None else [found]

    def _outputs(self, kind: str, name: str) -> list[RecentOutput]:
        """Return what the processes of one configured provider wrote last."""
        return [process.output.recent for process in self._processes_of(kind, name)]

    def _token_issuer(self) -> Issuer | None:
        return None if self._wiring is None or self._user is None else (self._wiring.tokens, self._user)

    def _processes_of_wiring(self) -> tuple[list[ProviderProcess], list[ProviderProcess]]:
        """Return the processes of workflow providers and those of plugins."""
        if self._wiring is None:
            return [], []
        processes = self._wiring.processes
        return list(processes.workflows.values()), list(processes.plugins.values())

    async def _listen(self) -> None:
        """Take the port before anything is started: a taken one fails at once, and `/ready` says what is awaited."""
        self._app = StartingApplication(self._loading, self.shortcomings, self._config.server.public.base_url)
        self._listener = await self._open_listener(self._http, self._answer)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        assert self._app is not None
        await self._app(scope, receive, send)

    async def _start_stores(self, launchables: Launchables, timings: Timings) -> None:
        self._stores = {
            name: make_store(item, self._config, self._environ, timings, self._beats, self._groups, self._about)
            for name, item in launchables.stores.items()
        }
        await all_of(store.start() for store in self._stores.values())

    async def _open_own_records(self) -> None:
        bound = await self._stores[self._config.indexeddb].bind(HOST_DATABASE, user=HOST)
        self._records = IndexedDB.connect(Address(f"unix:{bound.socket}"))
        users = Users(self._records)
        await users.create_store()
        self._user = await users.anonymous()

    async def _bind_workflows(self, config: HostConfig, bindings: dict[str, BoundStore]) -> None:
        async def bind(name: str, entry: ProviderEntry) -> None:
            bindings[name] = await self._bind(entry, "workflow")

        await all_of(bind(name, entry) for name, entry in config.providers["workflow"].items())

    async def _bind_plugins(self, launchables: Launchables, bindings: dict[str, BoundStore | HostError]) -> None:
        async def bind(name: str, entry: ProviderEntry) -> None:
            try:
                bindings[name] = await self._bind(entry, "plugin")
            except HostError as error:
                bindings[name] = error

        await all_of(
            bind(name, launchable.entry)
            for name, launchable in launchables.plugins.items()
            if not launchable.manifest.is_declarative  # nobody would open its part of a store
        )

    async def _bind(self, entry: ProviderEntry, kind: str) -> BoundStore:
        binding = entry.indexeddb
        if binding is None:
            return BoundStore()
        return await self._stores[binding.provider].bind(binding.db, binding.object_stores, f"{kind}/{entry.name}")

    async def _start_plugin(self, process: ProviderProcess) -> None:
        assert self._wiring is not None
        try:
            await process.start()
        except Exception as error:  # also what nobody has thought of, which would end in silence here
            self._wiring.plugin_failed(process.name, error)
            self._console.failure(process.name, error)
        else:
            if process in self._slow_plugins:
                self._console.plugin(process.name, process.absence or "it is ready now")

    async def _plugins_started(self, starts: Mapping[asyncio.Task[None], ProviderProcess], slow_start_s: float) -> None:
        """Return when every plugin has started or failed, or the rest is too slow to be waited for."""
        if starts:
            _, slow = await asyncio.wait(starts, timeout=slow_start_s)
            self._slow_plugins = {starts[task] for task in slow}
        for process in self._slow_plugins:
            log.warning("plugin is slow to start", event_name="plugin.slow", plugin=process.name, after_s=slow_start_s)
            self._console.plugin(process.name, process.absence)

    def _loading(self) -> str:
        """Return that plugins are loading, and which."""
        if self._wiring is None:
            names = ", ".join(sorted(self._preparing))
            return f"preparing packages: {names}" if names else "providers loading"
        starting = [item for item in self._wiring.processes.plugins.values() if item.state is State.STARTING]
        return f"providers loading: {', '.join(item.name for item in starting)}" if starting else "providers loading"

    def _serve_api(self, wiring: Wiring) -> None:
        """Answer requests of the API from now on."""
        assert self._listener is not None
        public = self._config.server.public
        services = HttpServices(
            manager=wiring.manager,
            invoker=wiring.invoker,
            plugins=wiring.plugins,
            authenticate=self._authenticate,
            readiness=self.readiness,
            shortcomings=self.shortcomings,
            providers=self.provider_reports,
            base_url=public.base_url,
            # There is no authentication, so it has to be known who is meant by a request.
            hosts=AllowedHosts((public.host, urlsplit(public.base_url).hostname or "", *public.allowed_hosts)),
            metrics=wiring.metrics,
            read_metrics=self._told_metrics.read,
        )
        self._app = create_app(services)
        most = self._listener.connections.capacity.most
        if most < public.most_connections:
            log.warning(
                "the limit of open files (RLIMIT_NOFILE) has no room for as many connections as are configured",
                event_name="http.fewer_connections",
                configured=public.most_connections,
                limit=most,
                open_files=open_files(),
            )
        log.info("gestaltd listening", event_name="host.listening", listener="public", url=self.url)

    async def _open_listener(self, stack: AsyncExitStack, app: ASGIApp) -> Listener:
        public = self._config.server.public
        listener = Listener(
            app,
            self._address(),
            public.port,
            base_url=public.base_url,
            grace_s=self._shutdown.requests_s,
            capacity=Capacity.of(public.most_connections, open_files()),
        )
        try:
            return await stack.enter_async_context(listener)
        except ListenFailed as error:
            where = "server.public.host and server.public.port"
            raise CommandFailed(
                f"public http server: {error}; {where} in {_as_seen_here(self._config.files[-1])} change it"
            ) from error

    async def _authenticate(self, headers: Mapping[str, str]) -> Principal:
        """Return the one user: without an authentication provider every request is that user's."""
        assert self._user is not None
        return self._user

    def _address(self) -> str:
        # There is no authentication, so without a configured host the API is reachable from this machine only.
        return self._config.server.public.host or LOCAL_ONLY

    async def _watch_health(self, beat: Beat) -> None:
        assert self._wiring is not None
        watched: list[Store | ProviderProcess] = [*self._wiring.processes.workflows.values(), *self._stores.values()]
        while True:
            await asyncio.sleep(HEALTH_EVERY_S)
            beat.beat()
            if self._control is not None:
                await self._control.restore()
            problems = await asyncio.gather(*(item.health_problem() for item in watched))
            now = datetime.now(UTC)
            found: dict[Store | ProviderProcess, Unhealthy] = {}
            for item, problem in zip(watched, problems, strict=True):
                # What is away says why at any time; it may be back before it is asked again.
                if problem is not None and not item.absence:
                    known = self._unhealthy.get(item)
                    found[item] = Unhealthy(problem, now if known is None else known.since)
            self._unhealthy = found

    def _own(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._tasks.append(task)
        return task


def _as_seen_here(path: Path) -> Path:
    """Return the path as one types it in the working directory, where it lies below that."""
    try:
        return path.relative_to(Path.cwd())
    except (ValueError, OSError):  # it lies elsewhere, or the working directory is gone
        return path
