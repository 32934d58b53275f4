"""What is told of every configured provider: whole, safe to show, and read without asking anybody."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import httpx
import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from gestalt_host.config.errors import Place
from gestalt_host.config.model import ProviderEntry, Source, SourceMode
from gestalt_host.daemon.console import Console
from gestalt_host.daemon.host import Host
from gestalt_host.daemon.launchables import Launchables
from gestalt_host.daemon.reports.metrics import ProviderMetrics
from gestalt_host.daemon.reports.providers import Unhealthy, source_text
from gestalt_host.daemon.wiring import Processes
from gestalt_host.errors import EntryFailed
from gestalt_host.http.app import create_app
from gestalt_host.http.services import HttpServices
from gestalt_host.packages import Launchable, LaunchCommand
from gestalt_host.packages.manifests.model import Manifest
from gestalt_host.supervisor import ProviderIdentity, ProviderProcess, ProviderSpec, Store, lifecycle
from gestalt_host.supervisor.reports import Fault, ProcessReport
from gestalt_sdk.bases.provider import Notice, ProviderKind
from tests.support.fakes.host import fake_host
from tests.support.rigs.supervisor import WORKFLOW
from tests.support.rigs.supervisor import launched as launched
from tests.support.rigs.supervisor import script as script
from tests.support.waiting import eventually

AT = datetime(2026, 5, 8, 9, 0, tzinfo=UTC)
LATER = AT + timedelta(seconds=5)
DIGEST = "ab" * 32
OBEYED = re.compile(r"[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")
HOSTILE = "a\x1b[2J\x9b\u202e\u2028\nb" + "€" * 400_000
PATH = Path("/srv/secret-folder/crm/manifest.yaml")
KINDS = {
    "plugins": ProviderKind.INTEGRATION,
    "workflow": ProviderKind.WORKFLOW,
    "indexeddb": ProviderKind.INDEXEDDB,
}


class FakeProcess:
    """A provider's process whose state and words the test decides."""

    def __init__(self, name: str, kind: ProviderKind, state: str = "ready", **more: Any) -> None:
        self.name, self.kind = name, kind
        self.spec = ProviderSpec(name, kind, LaunchCommand(()))
        self.memory_exceeded = 0
        self.output = SimpleNamespace(dropped_lines=1, dropped_bytes=10)
        self.identity = ProviderIdentity()
        self.notices: Sequence[Notice] = ()
        self.lack = ""
        self.told = ProcessReport(state, **{"since": AT, **more})

    @property
    def absence(self) -> str:
        return self.told.reason

    def report(self) -> ProcessReport:
        return self.told


class Rig:
    """A host whose configuration and processes the test decides."""

    def __init__(self) -> None:
        self.plugins: dict[str, ProviderEntry] = {}
        self.providers: dict[str, dict[str, ProviderEntry]] = {"workflow": {}, "indexeddb": {}}
        self.processes, self.launchables = Processes(), Launchables()
        self.host = Host(cast(Any, self), {}, Console(-1), cast(Any, None))
        self.host._launchables = self.launchables
        self.wiring = SimpleNamespace(processes=self.processes, plugins=(), failed_plugins={}, failed_since={})
        self.host._wiring = cast(Any, self.wiring)
        self.host._plugins_loaded = self.host._workflows_begun = True

    def add(self, kind: str, name: str, item: Any = None, *, prepared: bool = True, **manifest: Any) -> Any:
        """Configure an entry, prepared unless said otherwise, with its process or store."""
        entry = ProviderEntry(kind, name, Source(SourceMode.MANIFEST, path=PATH), Place("gestalt.yaml"))
        (self.plugins if kind == "plugins" else self.providers[kind])[name] = entry
        into: dict[str, Any] = {
            "plugins": self.launchables.plugins,
            "workflow": self.launchables.workflows,
            "indexeddb": self.launchables.stores,
        }[kind]
        if prepared:
            made = Manifest(PATH, kind, "a.org/b/c/crm", "1.0.0", **manifest)
            into[name] = Launchable(entry, made, LaunchCommand(()), archive_sha256=DIGEST)
        if kind == "indexeddb" and item is not None:
            self.host._stores[name] = item
        elif item is not None:
            (self.processes.plugins if kind == "plugins" else self.processes.workflows)[name] = item
        return item

    def store(self, name: str, **states: str) -> tuple[Store, list[FakeProcess]]:
        """A store that runs once for each binding, named with the state of its process."""
        made = Store(ProviderSpec(name, ProviderKind.INDEXEDDB, LaunchCommand(())), "", cast(Any, None))
        for moment, (db, state) in enumerate(states.items()):
            process = FakeProcess(name, ProviderKind.INDEXEDDB, state, since=AT + timedelta(seconds=moment), pid=moment)
            made._dedicated[db, ()] = cast(ProviderProcess, process)
        self.add("indexeddb", name, made)
        return made, cast(list[FakeProcess], made.processes)

    def one(self, name: str) -> Any:
        return next(report for report in self.host.provider_reports() if report.name == name)


@pytest.fixture
def rig() -> Rig:
    return Rig()


def test_there_are_none_before_there_are_processes(rig: Rig) -> None:
    rig.add("plugins", "crm")
    rig.host._wiring = None
    assert rig.host.provider_reports() == []


def test_every_entry_is_told_of_sorted_by_kind_and_name(rig: Rig) -> None:
    rig.add("workflow", "local", FakeProcess("local", ProviderKind.WORKFLOW))
    rig.add("plugins", "z", FakeProcess("z", ProviderKind.INTEGRATION))
    rig.add("plugins", "a", FakeProcess("a", ProviderKind.INTEGRATION, "starting", reason="it starts soon"))
    rig.store("main", x="ready")
    rig.add("indexeddb", "spare", prepared=False)
    told = [(report.kind, report.name, report.state) for report in rig.host.provider_reports()]
    assert told == [
        ("indexeddb", "main", "ready"),
        ("indexeddb", "spare", "unused"),
        ("plugin", "a", "starting"),
        ("plugin", "z", "ready"),
        ("workflow", "local", "ready"),
    ]
    assert rig.one("spare").reason == "nothing in the configuration uses it"


def test_package_source_digest_and_process_are_told(rig: Rig) -> None:
    fault = Fault("it did not answer", AT)
    process = FakeProcess("crm", ProviderKind.INTEGRATION, pid=7, restarts=2, memory_bytes=4096, last_fault=fault)
    process.identity = ProviderIdentity(version="", capabilities=frozenset({"b", "a"}))
    rig.add("plugins", "crm", process, display_name="CRM")
    report = rig.one("crm")
    assert (report.package, report.version, report.display_name) == ("a.org/b/c/crm", "1.0.0", "CRM")
    assert (report.source, report.digest, report.runtime) == ("…/crm/manifest.yaml", DIGEST, "executable")
    assert (report.state, report.since, report.restarts, report.pid) == ("ready", AT, 2, 7)
    assert (report.last_fault, report.capabilities, report.reason) == (fault, ("a", "b"), "")
    process.identity = ProviderIdentity(version="1.0.1-local", display_name="Something else")
    assert (rig.one("crm").version, rig.one("crm").display_name) == ("1.0.1-local", "CRM")


def test_a_plugin_without_process_is_failed_with_its_reason_or_declarative(rig: Rig) -> None:
    rig.add("plugins", "gone", prepared=False)
    rig.wiring.failed_plugins["gone"] = EntryFailed("/srv/secret-folder is not there", "its source is missing")
    rig.wiring.failed_since["gone"] = LATER
    rig.add("plugins", "geo", surfaces={"rest": {"x": 1}}, rest=cast(Any, object()))
    gone, geo = rig.one("gone"), rig.one("geo")
    reason = "it could not be started: its source is missing"
    assert (gone.state, gone.since, gone.reason, gone.last_fault) == ("failed", LATER, reason, Fault(reason, LATER))
    assert (gone.package, gone.digest, gone.pid, gone.processes) == ("", "", None, ())
    assert (geo.state, geo.runtime, geo.pid, geo.digest) == ("ready", "declarative", None, DIGEST)
    assert geo.since == rig.host._started


@pytest.mark.parametrize(
    ("states", "state", "since"),
    [
        ({"a": "ready", "b": "ready"}, "ready", AT + timedelta(seconds=1)),
        ({"a": "ready", "b": "restarting", "c": "restarting"}, "restarting", AT + timedelta(seconds=1)),
        ({"a": "restarting", "b": "silent", "c": "ready"}, "silent", AT + timedelta(seconds=1)),
        ({"a": "failed", "b": "stopped"}, "failed", AT),
        ({"a": "ready", "b": "starting"}, "starting", AT + timedelta(seconds=1)),
        ({"a": "stopped", "b": "silent"}, "stopped", AT),
        ({}, "starting", None),
    ],
)
def test_a_provider_is_as_well_as_the_worst_of_its_processes(
    rig: Rig, states: dict[str, str], state: str, since: datetime | None
) -> None:
    rig.store("main", **states)
    report = rig.one("main")
    assert (report.state, report.since) == (state, since or rig.host._started)
    assert [(process.binding, process.state) for process in report.processes] == list(states.items())
    assert report.pid is None


def test_who_says_that_something_is_wrong_is_unhealthy_while_it_can_be_called(rig: Rig) -> None:
    store, (process,) = rig.store("main", x="ready")
    rig.host._unhealthy[store] = Unhealthy("the disk is full", LATER)
    assert (rig.one("main").state, rig.one("main").since, rig.one("main").reason) == (
        "unhealthy",
        LATER,
        "the disk is full",
    )
    rig.host._unhealthy[store] = Unhealthy("", LATER)
    assert rig.one("main").reason == "no answer"
    process.told = ProcessReport("restarting", AT, "it has ended")
    assert (rig.one("main").state, rig.one("main").reason) == ("restarting", "it has ended")


def test_nothing_that_providers_write_is_obeyed_or_long(rig: Rig) -> None:
    process = FakeProcess("local", ProviderKind.WORKFLOW)
    process.identity = ProviderIdentity(
        display_name=HOSTILE,
        version=HOSTILE,
        warnings=(HOSTILE, "open /etc/gestalt/key.pem: denied", *map(str, range(1000))),
        capabilities=frozenset({HOSTILE, *map(str, range(1000))}),
    )
    process.notices = [Notice("n", HOSTILE, 1.0)]
    process.lack = "a socket of it has been removed"
    rig.add("workflow", "local", process)
    rig.host._unhealthy[cast(Any, process)] = Unhealthy(HOSTILE, AT)
    report = rig.one("local")
    texts = [report.display_name, report.version, report.reason, *report.capabilities, *report.notices]
    for text in texts:
        assert not OBEYED.search(text)
        assert len(text.encode()) <= 1003
    assert report.display_name.startswith("a\\x1b[2J\\x9b\\u202e\\u2028\\x0ab€")
    assert len(report.display_name.encode()) <= 203
    assert report.display_name.endswith("…")
    assert len(report.capabilities) == 100
    assert len(report.notices) == 1 + 1 + 20 - 1  # what is hostile is the same text as notice and as warning
    assert report.notices[0] == "a socket of it has been removed"
    assert "open key.pem: denied" in report.notices


@pytest.mark.parametrize(
    ("source", "text"),
    [
        (
            Source(SourceMode.URL, url="https://me:pass@a.org/x/release.yaml?token=secret#part", token="secret"),
            "https://a.org/x/release.yaml",
        ),
        (
            Source(SourceMode.PACKAGE, package="a.org/b/c/d", version="^1.2", repository="acme", token="secret"),
            "a.org/b/c/d ^1.2 from acme",
        ),
        (Source(SourceMode.PACKAGE, package="a.org/b/c/d"), "a.org/b/c/d"),
        (Source(SourceMode.GITHUB_RELEASE, github=("a/b", "v1", "x.yaml")), "github.com a/b v1 x.yaml"),
        (Source(SourceMode.BUILTIN, builtin="indexeddb_store", path=PATH), "builtin indexeddb_store"),
        (Source(SourceMode.LOCAL_RELEASE, path=Path("/provider-release.yaml")), "…/provider-release.yaml"),
        (Source(SourceMode.MANIFEST, path=PATH), "…/crm/manifest.yaml"),
    ],
)  # fmt: skip
def test_a_source_is_told_without_secrets_and_folders(source: Source, text: str) -> None:
    assert source_text(source) == text


# --- other places that tell the same ----------------------------------------------------------------------------------


def metrics_of(rig: Rig) -> dict[tuple[str, ...], float]:
    """Every sample of ``/metrics`` by name, provider and further label; a series that is there twice is a fault."""
    registry = CollectorRegistry()
    registry.register(ProviderMetrics(rig.host._processes, rig.host.provider_reports))
    found: dict[tuple[str, ...], float] = {}
    for family in text_string_to_metric_families(generate_latest(registry).decode()):
        for sample in family.samples:
            key = (sample.name, *(sample.labels[name] for name in ("provider", "state") if name in sample.labels))
            assert key not in found
            found[key] = sample.value
    return found


def test_a_store_with_several_processes_has_each_series_once(rig: Rig) -> None:
    _, processes = rig.store("main", a="ready", b="ready")
    processes[0].told = ProcessReport("restarting", AT, "it has ended", restarts=3, memory_bytes=4096)
    processes[1].told = ProcessReport("ready", AT, memory_bytes=1)
    found = metrics_of(rig)
    assert found["gestalt_provider_up", "main"] == 0
    assert found["gestalt_provider_restarts_total", "main"] == 3
    assert found["gestalt_provider_memory_bytes", "main"] == 4097
    assert found["gestalt_provider_output_dropped_lines_total", "main"] == 2
    assert found["gestalt_provider_state", "main", "restarting"] == 1


def test_detail_of_ready_names_who_is_away_or_not_healthy(rig: Rig) -> None:
    store, _ = rig.store("main", x="ready")
    rig.add("workflow", "local", FakeProcess("local", ProviderKind.WORKFLOW, "silent", reason="it has not answered"))
    rig.host._unhealthy[store] = Unhealthy("the disk is full", AT)
    assert rig.host.shortcomings() == ["store main: the disk is full", "workflow provider local: it has not answered"]


# --- what an answer costs ---------------------------------------------------------------------------------------------

Launch = Callable[..., Awaitable[ProviderProcess]]


class Calls:
    """Counts calls over gRPC, whoever makes them."""

    def __init__(self, channel: Any) -> None:
        self._channel, self.made = channel, 0

    def __getattr__(self, name: str) -> Any:
        if name in ("unary_unary", "unary_stream", "stream_unary", "stream_stream"):
            self.made += 1
        return getattr(self._channel, name)


@pytest.fixture
def health_checks(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    asked: list[object] = []
    real = lifecycle.health

    async def counted(channel: Any) -> lifecycle.Health:
        asked.append(channel)
        return await real(channel)

    monkeypatch.setattr(lifecycle, "health", counted)
    return asked


async def test_hundreds_of_answers_ask_no_provider(
    rig: Rig, script: Callable[..., LaunchCommand], launched: Launch, health_checks: list[object]
) -> None:
    """The process is real, and is killed in between: the answers tell it without a question."""
    process = await launched(script(WORKFLOW))
    rig.add("workflow", "local", process)
    services = fake_host().services()
    services = HttpServices(
        services.manager,
        services.invoker,
        services.plugins,
        services.authenticate,
        services.readiness,
        providers=rig.host.provider_reports,
    )
    calls = process._channel = cast(Any, Calls(process._channel))
    transport = httpx.ASGITransport(create_app(services))
    async with httpx.AsyncClient(transport=transport, base_url="http://gestalt.test/api/v1") as client:
        for _ in range(200):
            (shown,) = (await client.get("/providers")).json()
            assert (shown["state"], shown["pid"]) == ("ready", process.pid)
            assert (await client.get("/providers/workflow/local")).json()["state"] == "ready"
        assert (calls.made, health_checks) == (0, [])
        assert process.pid is not None
        os.kill(process.pid, signal.SIGKILL)

        async def is_back() -> Any:
            (shown,) = (await client.get("/providers")).json()
            return shown if shown["restarts"] == 1 and shown["state"] == "ready" else None

        shown = await eventually(is_back, within_s=30)
        assert "SIGKILL" in shown["lastError"]["text"] or "signal 9" in shown["lastError"]["text"]
    assert await process.health_problem() is None
    assert calls.made > 0
    assert len(health_checks) == 1


def test_five_hundred_are_told_with_one_look_at_each(rig: Rig) -> None:
    looks: list[str] = []

    class Looked(FakeProcess):
        def report(self) -> ProcessReport:
            looks.append(self.name)
            return super().report()

    names = [f"p{number:03}" for number in range(500)]
    for name in reversed(names):
        rig.add("plugins", name, Looked(name, ProviderKind.INTEGRATION))
    assert [report.name for report in rig.host.provider_reports()] == names
    assert sorted(looks) == names
