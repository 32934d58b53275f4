"""What is known of every configured provider, for HTTP and metrics: read from memory, without a call to anybody."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from gestalt_host.config.model import HostConfig, ProviderEntry, Source, SourceMode
from gestalt_host.daemon.launchables import Launchables
from gestalt_host.daemon.wiring import Wiring
from gestalt_host.errors import could_not_start, reason_of
from gestalt_host.packages import Launchable
from gestalt_host.packages.downloads import urls
from gestalt_host.supervisor import ProviderProcess, Store
from gestalt_host.supervisor.places import without_places
from gestalt_host.supervisor.reports import Fault, ProviderReport
from gestalt_sdk.common.printable import printable
from gestalt_sdk.common.texts import cut

NAME_BYTES = 200
"""How much is shown of a display name, a version, a capability, an address or a URL."""
NOTICE_BYTES = 1000
MOST_CAPABILITIES, MOST_WARNINGS = 100, 20
NO_ANSWER = "no answer"
UNUSED = "nothing in the configuration uses it"

# From the worst to the best: a provider is as well as the worst of its processes.
_WORST_FIRST = ("failed", "stopped", "silent", "restarting", "starting", "ready")


@dataclass(frozen=True, slots=True)
class Unhealthy:
    """What a provider that runs and answers says is wrong with it.

    Attributes:
        problem: Blank where it did not answer its health check in time.
        since: When it was found first.
    """

    problem: str
    since: datetime

    def __str__(self) -> str:
        return self.problem or NO_ANSWER


def provider_reports(
    config: HostConfig,
    launchables: Launchables,
    wiring: Wiring,
    stores: Mapping[str, Store],
    unhealthy: Mapping[Store | ProviderProcess, Unhealthy],
    started: datetime,
) -> list[ProviderReport]:
    """Return a report of every plugin, workflow provider and store of the configuration, sorted by kind and name.

    Args:
        unhealthy: What stores and workflow providers that run say is wrong with them.
        started: When the host was started: what has no process is in its state since then.
    """
    found = [_plugin(entry, launchables.plugins.get(name), wiring, started) for name, entry in config.plugins.items()]
    watched: list[tuple[ProviderEntry, Launchable, Store | ProviderProcess]] = [
        (entry, launchables.workflows[name], wiring.processes.workflows[name])
        for name, entry in config.providers["workflow"].items()
    ]
    for name, entry in config.providers["indexeddb"].items():
        if name in stores:
            watched.append((entry, launchables.stores[name], stores[name]))
        else:
            found.append(replace(_described(entry, None, started), state="unused", reason=UNUSED))
    for entry, launchable, item in watched:
        report = _of_processes(_described(entry, launchable, started), item)
        found.append(_with_health(report, unhealthy.get(item)))
    return sorted(found, key=lambda report: (report.kind, report.name))


def _plugin(entry: ProviderEntry, launchable: Launchable | None, wiring: Wiring, started: datetime) -> ProviderReport:
    report = _described(entry, launchable, started)
    if (process := wiring.processes.plugins.get(entry.name)) is not None:
        return _of_processes(report, process)
    if (error := wiring.failed_plugins.get(entry.name)) is not None:
        fault = Fault(could_not_start(reason_of(error)), wiring.failed_since[entry.name])
        return replace(report, state="failed", since=fault.at, reason=fault.text, last_fault=fault)
    return report


def _described(entry: ProviderEntry, launchable: Launchable | None, started: datetime) -> ProviderReport:
    """Return what is known of an entry without its process; ``ready``, as what has none is."""
    manifest = None if launchable is None else launchable.manifest
    return ProviderReport(
        kind="plugin" if entry.kind == "plugins" else entry.kind,
        name=entry.name,
        state="ready",
        since=started,
        package=shown(manifest.source) if manifest else "",
        version=shown(manifest.version) if manifest else "",
        display_name=shown(entry.display_name or (manifest.display_name if manifest else "")),
        source=shown(source_text(entry.source)),
        digest="" if launchable is None else launchable.archive_sha256,
        runtime=manifest.runtime if manifest else "executable",
    )


def _of_processes(report: ProviderReport, item: Store | ProviderProcess) -> ProviderReport:
    """Return the report with the state of its processes together, and with what they say of themselves."""
    if isinstance(item, Store):
        processes, told = item.processes, item.reports()
    else:
        processes, told = [item], [item.report()]
    if not told:
        return replace(report, state="starting")
    worst = min(told, key=lambda one: _WORST_FIRST.index(one.state))
    moments = [one.since for one in told if one.state == worst.state]
    faults = [one.last_fault for one in told if one.last_fault is not None]
    identities = [process.identity for process in processes]
    capabilities = sorted({shown(name) for identity in identities for name in identity.capabilities})
    return replace(
        report,
        display_name=report.display_name or shown(_first(identity.display_name for identity in identities)),
        version=shown(_first(identity.version for identity in identities)) or report.version,
        state=worst.state,
        since=max(moments) if worst.state == "ready" else min(moments),
        reason="; ".join(dict.fromkeys(one.reason for one in told if one.reason and one.state != "ready")),
        restarts=sum(one.restarts for one in told),
        pid=told[0].pid if len(told) == 1 else None,
        last_fault=max(faults, key=lambda fault: fault.at, default=None),
        capabilities=tuple(capabilities[:MOST_CAPABILITIES]),
        notices=tuple(dict.fromkeys(text for process in processes for text in _notices(process))),
        processes=tuple(told),
    )


def _notices(process: ProviderProcess) -> Iterator[str]:
    """Yield what is not as it should be although the process can be called."""
    if process.lack:
        yield process.lack
    for notice in process.notices:
        yield shown(notice.text, NOTICE_BYTES)
    for warning in process.identity.warnings[:MOST_WARNINGS]:
        yield shown(without_places(warning[: NOTICE_BYTES + 1]), NOTICE_BYTES)


def _with_health(report: ProviderReport, unhealthy: Unhealthy | None) -> ProviderReport:
    """Return the report as ``unhealthy`` where the provider can be called and says that something is wrong."""
    if unhealthy is None or report.state != "ready":
        return report
    return replace(report, state="unhealthy", since=unhealthy.since, reason=shown(str(unhealthy), NOTICE_BYTES))


def _first(texts: Iterable[str]) -> str:
    return next(filter(None, texts), "")


def source_text(source: Source) -> str:
    """Return where the configuration takes a provider from, without query, credentials and folders of this machine."""
    match source.mode:
        case SourceMode.BUILTIN:
            return f"builtin {source.builtin}"
        case SourceMode.URL:
            return urls.shown(source.url).partition("?")[0].partition("#")[0]
        case SourceMode.PACKAGE:
            text = f"{source.package} {source.version}".strip()
            return f"{text} from {source.repository}" if source.repository else text
        case SourceMode.GITHUB_RELEASE:
            return f"github.com {' '.join(source.github or ())}"
    return "" if source.path is None else "/".join(("…", *source.path.parts[1:][-2:]))


def shown(text: str, most_bytes: int = NAME_BYTES) -> str:
    """Return the text with nothing that moves a cursor or turns a line around, and its beginning where it is long."""
    whole = printable(text[: most_bytes + 1])
    short = cut(whole, most_bytes)
    return short if short == whole else f"{short}…"
