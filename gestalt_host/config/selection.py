"""Choosing entries (config.md 11.5) and completing IndexedDB bindings (12)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from urllib.parse import urlsplit

from gestalt_host.config.errors import Faults, Place
from gestalt_host.config.model import IndexedDBBinding, ProviderEntry, ServerConfig, section_path

POSTGRESQL_PORT = 5432
# Kinds of which the host uses one entry: several without a choice between them are a fault.
_SINGLE = ("authentication", "authorization", "externalCredentials", "secrets", "telemetry", "audit", "indexeddb")


def select_entries(
    server: ServerConfig, providers: Mapping[str, Mapping[str, ProviderEntry]], root: Place, faults: Faults
) -> dict[str, str]:
    """Choose each kind's entry that is used when nothing else is said, by kind; kinds without one are left out."""
    chosen: dict[str, str] = {}
    for kind, entries in providers.items():
        explicit = server.selectors.get(kind, "")
        if explicit:
            if explicit in entries:
                chosen[kind] = explicit
            else:
                faults.add(root, f"server.providers.{kind}", unknown_entry(kind, explicit, entries))
            continue
        defaults = sorted(name for name, entry in entries.items() if entry.default)
        if len(defaults) > 1:
            place = entries[defaults[1]].place
            faults.add(place, section_path(kind), f"declares multiple defaults: {', '.join(defaults)}")
        elif defaults:
            chosen[kind] = defaults[0]
        elif len(entries) == 1:
            chosen[kind] = next(iter(entries))
        elif entries and kind in _SINGLE:
            place = next(iter(entries.values())).place
            names = ", ".join(sorted(entries))
            faults.add(place, f"providers.{kind}", f"has multiple providers but no selection or default: {names}")
    return chosen


def unknown_entry(kind: str, name: str, entries: Mapping[str, object]) -> str:
    known = ", ".join(sorted(entries)) or "none"
    return f'references unknown {kind} "{name}"; configured are {known}'


def resolve_bindings(
    entries: Mapping[str, ProviderEntry],
    stores: Mapping[str, ProviderEntry],
    selected: str,
    faults: Faults,
) -> dict[str, ProviderEntry]:
    """Complete ``indexeddb`` of the entries: plugins inherit the selected store, others name theirs or have none."""
    return {name: _resolve(entry, stores, selected, faults) for name, entry in entries.items()}


def check_databases_apart(
    workflows: Mapping[str, ProviderEntry], stores: Mapping[str, ProviderEntry], faults: Faults
) -> None:
    """Note each workflow provider whose database is that of another one, which would take its objects for its own.

    It may be so by two IndexedDB entries of one PostgreSQL database. Two of one SQLite file are refused when they
    start: a file belongs to one process.
    """
    holders: dict[tuple[object, str], ProviderEntry] = {}
    for entry in workflows.values():
        binding = entry.indexeddb
        if binding is None or not binding.provider:
            continue
        holder = holders.setdefault((_server(binding.provider, stores), binding.db), entry)
        if holder is entry:
            continue
        assert holder.indexeddb is not None
        other = holder.indexeddb.provider
        through = "" if other == binding.provider else f', through indexeddb "{other}" with the same dsn'
        faults.add(
            entry.place,
            f"{entry.path}.indexeddb",
            f'database "{binding.db}" of indexeddb "{binding.provider}" is that of {holder.path} already{through}; '
            "a workflow provider needs a database of its own, so give one of them another db",
        )


def _server(name: str, stores: Mapping[str, ProviderEntry]) -> object:
    """Return what is equal for IndexedDB entries that keep their databases in one place.

    Who connects, and with which options, makes no difference. A DSN without a host may have lost it: `validate` takes
    missing variables for blank.
    """
    dsn = stores[name].config.get("dsn") if name in stores else None
    if not isinstance(dsn, str):
        return name
    try:
        parts = urlsplit(dsn.strip())
        port = parts.port or POSTGRESQL_PORT
    except ValueError:  # the store says what is wrong with it
        return name
    database = parts.path.strip("/")
    if parts.scheme not in ("postgres", "postgresql") or not parts.hostname or not database:
        return name
    return parts.hostname, port, database


def _resolve(entry: ProviderEntry, stores: Mapping[str, ProviderEntry], selected: str, faults: Faults) -> ProviderEntry:
    binding, is_plugin = entry.indexeddb, entry.kind == "plugins"
    if binding is None:
        if not is_plugin or not selected:
            return entry
        return replace(entry, indexeddb=IndexedDBBinding(selected, entry.name))
    provider = binding.provider or (selected if is_plugin else "")
    path = f"{entry.path}.indexeddb.provider"
    if not provider:
        faults.add(entry.place, path, "is required")
        return entry
    if provider not in stores:
        faults.add(entry.place, path, unknown_entry("indexeddb", provider, stores))
    return replace(entry, indexeddb=replace(binding, provider=provider, db=binding.db or entry.name))
