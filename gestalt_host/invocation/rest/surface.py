"""The REST surface of a configured plugin, and which hosts it may reach."""

from __future__ import annotations

from dataclasses import replace
from urllib.parse import urlsplit

from gestalt_host.access.credentials.connections import internal_name
from gestalt_host.config.errors import Place, Problem
from gestalt_host.config.model import AllowedOperation, ProviderEntry
from gestalt_host.invocation.assembly import EntryUnfit
from gestalt_host.invocation.rest.egress import ACCEPTED_PATTERNS, EgressRules, is_pattern
from gestalt_host.packages.downloads.urls import address_of
from gestalt_host.packages.lock.currency import is_release
from gestalt_host.packages.manifests.model import Manifest
from gestalt_host.packages.manifests.rest_model import RestOperation, RestSurface


def surface_of(entry: ProviderEntry, manifest: Manifest) -> RestSurface:
    """Return the surface with the configuration's base URL, internal names of connections, and how pages follow.

    Raises:
        EntryUnfit: neither says the base URL, or how the pages of an operation follow that is to be fetched whole.
    """
    surface = manifest.rest
    assert surface is not None
    base_url = entry.rest_base_url or surface.base_url
    if not base_url:
        path, text = f"{entry.path}.surfaces.rest.baseUrl", "is required: the manifest of the plugin has none"
        raise EntryUnfit(Problem(entry.place, path, text), "it has no base URL")
    configured = entry.allowed_operations is not None
    rows = (entry.allowed_operations if configured else manifest.allowed_operations) or {}
    return replace(
        surface,
        base_url=base_url,
        connection=internal_name(surface.connection),
        operations={
            name: _operation(operation, rows.get(name), entry, manifest)
            for name, operation in surface.operations.items()
        },
    )


def _operation(
    operation: RestOperation, row: AllowedOperation | None, entry: ProviderEntry, manifest: Manifest
) -> RestOperation:
    selector = operation.selector
    if selector is not None:
        values = {value: internal_name(name) for value, name in selector.values.items()}
        selector = replace(selector, values=values)
    pagination = None
    if row is not None and row.paginate:
        pagination = row.pagination or manifest.pagination
        if pagination is None:
            where = f"{entry.path}.allowedOperations" if row.place else "spec.allowedOperations"
            path = f"{where}.{operation.name}.paginate"
            text = "needs to know how pages follow: pagination beside it, or in the spec of the manifest"
            place = row.place or Place(str(manifest.path))
            raise EntryUnfit(Problem(place, path, text), "how its pages follow is not said")
    return replace(operation, connection=internal_name(operation.connection), selector=selector, pagination=pagination)


def rules_of(entry: ProviderEntry, surface: RestSurface, *, default_deny: bool) -> EgressRules:
    """Return what the plugin may reach.

    A private address is named by the configuration, or by the manifest of a source that lies here, not by a release.

    Raises:
        EntryUnfit: ``egress.allowedHosts`` has what is no host.
    """
    for index, text in enumerate(entry.allowed_hosts):
        if not is_pattern(text):
            path = f"{entry.path}.egress.allowedHosts[{index}]"
            problem = Problem(entry.place, path, f"{text!r} cannot be used; accepted are {ACCEPTED_PATTERNS}")
            raise EntryUnfit(problem, "its egress.allowedHosts cannot be used")
    host = "" if "{" in surface.base_url.split("/")[2] else urlsplit(surface.base_url).hostname or ""
    is_literal = host == "localhost" or address_of(host) is not None
    is_named = bool(entry.rest_base_url) or (is_literal and not is_release(entry))
    named = frozenset({host}) if host and is_named else frozenset()
    return EgressRules(entry.allowed_hosts, default_deny, named)


def require_no_list(entry: ProviderEntry, *, default_deny: bool) -> None:
    """Refuse to keep a process to a list of hosts, which this host cannot do.

    Raises:
        EntryUnfit: it has a list, or the default is to deny and it would need one.
    """
    if entry.rest_base_url:
        problem = Problem(entry.place, f"{entry.path}.surfaces.rest.baseUrl", "the plugin has no REST surface")
        raise EntryUnfit(problem, "it has no REST surface")
    if not entry.allowed_hosts and not default_deny:
        return
    path = f"{entry.path}.egress.allowedHosts" if entry.allowed_hosts else "server.egress.defaultAction"
    text = "cannot be held: the plugin is a process of its own, which reaches what it likes; only surfaces.rest is kept"
    raise EntryUnfit(Problem(entry.place, path, text), "it is a process, which cannot be kept to a list of hosts")
