"""Reading the entries of ``providers.<kind>`` and ``plugins`` (config.md 10 to 14), and choosing defaults (11.5)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from gestalt_host.config.connections import read_bindings
from gestalt_host.config.declared.base_urls import read_base_url
from gestalt_host.config.declared.pagination import read_pagination
from gestalt_host.config.errors import Problem
from gestalt_host.config.model import (
    AllowedOperation,
    ConnectionConfig,
    IndexedDBBinding,
    InvokeConfig,
    OperationUse,
    Policy,
    ProviderEntry,
    ProviderLimits,
    ServerConfig,
    Source,
    SourceMode,
)
from gestalt_host.config.reader import Block
from gestalt_host.config.sections import Findings, accept_unprovided, accept_unused, check_entry_name
from gestalt_host.config.sources import read_source

PROVIDER_KINDS = (
    "authentication",
    "authorization",
    "externalCredentials",
    "secrets",
    "telemetry",
    "audit",
    "ui",
    "indexeddb",
    "cache",
    "s3",
    "workflow",
    "agent",
)
LEAST_MEMORY_BYTES = 16 * 1024**2
"""With less no provider of any language comes up."""
_NOT_ON_PROVIDERS = ("auth", "ui", "cache", "s3", "invokes", "lifecycle", "surfaces", "authorizationPolicy")
_NOT_ON_AGENTS = tuple(key for key in _NOT_ON_PROVIDERS if key != "lifecycle")
_NOT_ON_OTHERS = (*_NOT_ON_PROVIDERS, "indexeddb", "runtime")
REJECTED_KEYS: Mapping[str, tuple[str, ...]] = {
    "workflow": _NOT_ON_PROVIDERS,
    "agent": _NOT_ON_AGENTS,
    "ui": (),
    "cache": (*_NOT_ON_OTHERS, "default"),
    "plugins": ("default", "lifecycle"),
}
# Built-in sources that this version has; any other is read, checked and then refused by `serve`.
_SERVED_BUILTINS = {"secrets": ("env", "file"), "telemetry": ("noop", "stdout"), "audit": ("inherit", "noop")}
_UNUSED_KINDS = {
    "telemetry": "is accepted and not used yet: logs go to standard error, metrics to /metrics",
    "audit": "is accepted and not used yet: nothing is audited",
}
_UNPROVIDED_KINDS = {
    "authentication": "an authentication provider",
    "authorization": "an authorization provider",
    "externalCredentials": "an external-credentials provider (credentials are built in)",
    "ui": "a UI",
    "cache": "a cache provider",
    "s3": "an S3 provider",
    "agent": "an agent provider",
    "runtime": "hosted placement",
}


@dataclass(frozen=True, slots=True)
class EntryContext:
    """What an entry may refer to."""

    server: ServerConfig
    policies: Mapping[str, Policy]
    connections: Mapping[str, ConnectionConfig]


def read_provider_entries(
    providers: Block, context: EntryContext, findings: Findings
) -> dict[str, dict[str, ProviderEntry]]:
    """Read every kind's entries by name; IndexedDB bindings are not resolved yet."""
    with providers:
        return {kind: _entries(providers, kind, kind, context, findings) for kind in PROVIDER_KINDS}


def read_runtime_providers(runtime: Block, context: EntryContext, findings: Findings) -> dict[str, ProviderEntry]:
    return _entries(runtime, "providers", "runtime", context, findings)


def read_plugins(root: Block, context: EntryContext, findings: Findings) -> dict[str, ProviderEntry]:
    return _entries(root, "plugins", "plugins", context, findings)


def _entries(parent: Block, key: str, kind: str, context: EntryContext, findings: Findings) -> dict[str, ProviderEntry]:
    entries: dict[str, ProviderEntry] = {}
    for name, block in parent.entries(key):
        check_entry_name(name, block)
        if not block.present:
            block.fault("", "is required")
            continue
        entry = _entry(kind, name, block, context, findings)
        if entry is not None:
            entries[name] = entry
    return entries


def _entry(kind: str, name: str, block: Block, context: EntryContext, findings: Findings) -> ProviderEntry | None:
    for key, advice in (("execution", "use runtime"), ("mountPath", "use ui.path")):
        if block.has(key):
            block.fault(key, f"is no longer supported; {advice}")
    rejected = REJECTED_KEYS.get(kind, _NOT_ON_OTHERS)
    for key in rejected:
        node = block.node(key)
        if block.has(key) and (node is None or node.value != [] or key not in ("invokes", "cache", "s3")):
            block.fault(key, f"is not allowed on {kind} entries")
    with block:
        source = _source(block, kind, name, findings)
        config = block.opaque("config", sent=True)
        env = block.text_map("env")
        allowed_hosts = _allowed_hosts(kind, block, findings)
        entry = ProviderEntry(
            kind=kind,
            name=name,
            source=source or Source(SourceMode.BUILTIN),
            place=block.place,
            config=config,
            config_node=block.node("config"),
            env=env,
            default=block.boolean("default") if "default" not in rejected else False,
            display_name=block.text("displayName"),
            description=block.text("description"),
            icon_file=block.path_text("iconFile"),
            indexeddb=_binding(block) if "indexeddb" not in rejected else None,
            connections=read_bindings(block, context.connections, findings),
            allowed_operations=_allowed_operations(kind, block, findings),
            invokes=_invokes(block, findings) if "invokes" not in rejected else (),
            allowed_hosts=allowed_hosts,
            rest_base_url=_surfaces(block, findings) if "surfaces" not in rejected else "",
            authorization_policy=_policy(block, context) if "authorizationPolicy" not in rejected else "",
            verify=_verify(block, source),
            limits=_limits(block),
        )
        _read_rest(kind, block, rejected, findings)
    if source is not None:
        _check_provided(kind, block, source, findings)
    return entry if source is not None else None


def _limits(block: Block) -> ProviderLimits:
    with block.block("limits") as limits:
        return ProviderLimits(limits.size("memory", minimum=LEAST_MEMORY_BYTES))


def _source(block: Block, kind: str, name: str, findings: Findings) -> Source | None:
    """Read ``source``, or what a runtime provider may have instead: ``driver: local``, which the host itself is."""
    driver = block.one_of("driver", ("local",)) if kind == "runtime" else ""
    if not driver:
        return read_source(block, kind, name, findings)
    for key in ("source", "config"):
        if block.has(key):
            block.fault(key, "is not allowed with driver")
    return Source(SourceMode.BUILTIN, builtin=driver)


def _verify(block: Block, source: Source | None) -> Literal["", "required"]:
    if not block.one_of("verify", ("required",)):
        return ""
    if source is not None and source.mode in (SourceMode.BUILTIN, SourceMode.MANIFEST):
        block.fault("verify", f"is not allowed with a source by {source.mode.value}: only releases are signed")
    return "required"


def _read_rest(kind: str, block: Block, rejected: tuple[str, ...], findings: Findings) -> None:
    """Read the keys outside the workflow system: known, and reported as unprovided when they ask for anything."""
    features = {
        "cache": "caches for plugins",
        "s3": "S3 buckets for plugins",
        "runtime": "hosted placement",
        "auth": "route authentication",
        "mcp": "the MCP endpoint",
        "securitySchemes": "inbound HTTP routes",
        "http": "inbound HTTP routes",
        "dev": "attaching providers",
        "defaultHarness": "agent harnesses",
        "harnesses": "agent harnesses",
        "localHarness": "agent harnesses",
        "lifecycle": "agent session hooks",
    }
    accept_unused(block, findings, "iconFile")
    accept_unprovided(block, findings, **{key: what for key, what in features.items() if key not in rejected})
    for key in rejected:
        block.has(key)
    if kind == "ui":
        block.has("ui")
        path = block.text("path", required=True)
        if path and (not path.startswith("/") or any(c in path for c in "*{}")):
            block.fault("path", f"{path!r} is not a mount path; accepted are paths that begin with '/', no patterns")
    elif "ui" not in rejected and block.has("ui"):
        ui = block.block("ui")
        with ui:
            if not ui.text("path") and ui.present:
                ui.fault("path", "ui.path is required when ui is an object")
            ui.text("bundle")
        findings.not_provided(block, "ui", "a plugin's UI")


def _check_provided(kind: str, block: Block, source: Source, findings: Findings) -> None:
    if kind in _UNPROVIDED_KINDS:
        findings.not_provided(block, "", _UNPROVIDED_KINDS[kind])
    elif kind in _SERVED_BUILTINS and source.builtin not in _SERVED_BUILTINS[kind]:
        findings.not_provided(block, "source", f"{kind} from {source}")
    elif kind in _UNUSED_KINDS:
        findings.unused.append(Problem(block.place, block.path, _UNUSED_KINDS[kind]))


def _allowed_hosts(kind: str, block: Block, findings: Findings) -> tuple[str, ...]:
    """Read ``egress.allowedHosts`` of a plugin; processes of other kinds cannot be kept to a list."""
    with block.block("egress") as egress:
        hosts = tuple(host for host in egress.texts("allowedHosts") if host)
        if hosts and kind != "plugins":
            findings.not_provided(egress, "allowedHosts", f"an egress list for {kind} entries")
            return ()
        return hosts


def _surfaces(block: Block, findings: Findings) -> str:
    """Read ``surfaces``; return the base URL of the REST one."""
    with block.block("surfaces") as surfaces:
        with surfaces.block("rest") as rest:
            base_url = read_base_url(rest)
        for name, key in (("openapi", "baseUrl"), ("graphql", "url"), ("mcp", "url")):
            with surfaces.block(name) as surface:
                surface.text(key)
        accept_unprovided(surfaces, findings, openapi="OpenAPI", graphql="GraphQL", mcp="MCP behind a plugin")
    return base_url


def _binding(block: Block) -> IndexedDBBinding | None:
    """Read the binding as written; blank parts are filled in by ``resolve_bindings``."""
    node = block.node("indexeddb")
    if node is None:
        return None
    if isinstance(node.value, dict):
        with block.block("indexeddb") as binding:
            return IndexedDBBinding(binding.text("provider"), binding.text("db"), binding.names("objectStores"))
    return IndexedDBBinding(block.text("indexeddb"), "")


def _allowed_operations(kind: str, block: Block, findings: Findings) -> dict[str, AllowedOperation] | None:
    node = block.node("allowedOperations")
    if node is None:
        return None
    # On entries of other kinds it means nothing (config.md 11.4).
    if node.value == {} and kind == "plugins":
        block.fault("allowedOperations", "must name at least one operation")
    operations: dict[str, AllowedOperation] = {}
    offered: dict[str, str] = {}
    for name, operation in block.entries("allowedOperations"):
        with operation:
            alias = operation.text("alias")
            roles = operation.texts("allowedRoles") if operation.has("allowedRoles") else None
            operations[name] = AllowedOperation(
                operation=name,
                alias=alias,
                description=operation.text("description"),
                allowed_roles=roles,
                tags=operation.texts("tags"),
                place=operation.place,
                paginate=operation.boolean("paginate"),
                pagination=read_pagination(operation),
            )
        offer = alias or name
        if offer in offered:
            operation.fault("alias", f"{offer!r} is already the name of {offered[offer]!r}")
        offered[offer] = name
    return operations


def _invokes(block: Block, findings: Findings) -> tuple[InvokeConfig, ...]:
    invokes: list[InvokeConfig] = []
    for item in block.blocks("invokes"):
        with item:
            plugin, operation = item.text("plugin", required=True), item.text("operation")
            surface = item.one_of("surface", ("graphql",))
            mode = item.one_of("credentialMode", ("none", "user"))
            run_as = item.node("runAs")
            if run_as is not None:
                _run_as(item)
                if not operation:
                    item.fault("runAs", "requires operation")
                findings.not_provided(item, "runAs", "invoking as another subject")
        if bool(operation) == bool(surface):
            item.fault("operation", "exactly one of operation and surface is required")
        invoke = InvokeConfig(plugin, operation, surface, mode)  # type: ignore[arg-type]
        if plugin and operation:
            findings.uses.append(OperationUse(plugin, operation, item.place_of("operation"), item.path_of("operation")))
        if any((i.plugin, i.operation, i.surface) == (plugin, operation, surface) for i in invokes):
            item.fault("", f"{plugin}.{operation or surface} is a duplicate")
        invokes.append(invoke)
    return tuple(invokes)


def _run_as(item: Block) -> None:
    with item.block("runAs") as run_as:
        subject = run_as.block("subject")
        if not subject.present:
            run_as.fault("subject", "is required")
        with subject:
            subject.text("id", required=subject.present)
            for key in ("kind", "credentialSubjectId", "displayName", "authSource"):
                subject.text(key)
        with run_as.block("externalIdentity") as identity:
            identity.text("type")
            identity.text("id")


def _policy(block: Block, context: EntryContext) -> str:
    policy = block.text("authorizationPolicy")
    if policy and policy not in context.policies:
        known = ", ".join(sorted(context.policies)) or "none"
        block.fault("authorizationPolicy", f"references unknown policy {policy!r}; configured are {known}")
    return policy
