"""Reading the configuration: from files to ``HostConfig``, with every fault reported at once (config.md 1.2)."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from gestalt_host.config.connections import read_shared_connections
from gestalt_host.config.document import Node, from_plain, merge, parse_yaml
from gestalt_host.config.errors import ConfigurationInvalid, ConfigurationUnreadable, Faults, Place, Problem
from gestalt_host.config.files import read_text
from gestalt_host.config.interpolate import Placeholders
from gestalt_host.config.model import ACCEPTED_KEYS, SUPPORTED_API_VERSION, HostConfig, ProviderEntry
from gestalt_host.config.providers import (
    PROVIDER_KINDS,
    EntryContext,
    read_plugins,
    read_provider_entries,
    read_runtime_providers,
)
from gestalt_host.config.reader import Block
from gestalt_host.config.secret_providers import SecretResolver
from gestalt_host.config.secret_references import SecretReference, check_references, replace_references
from gestalt_host.config.sections import Findings
from gestalt_host.config.selection import check_databases_apart, resolve_bindings, select_entries, unknown_entry
from gestalt_host.config.server import read_policies, read_server
from gestalt_host.config.sources import read_repositories
from gestalt_host.config.workflows import WorkflowContext, read_event_triggers, read_schedules

CONFIG_VARIABLE = "GESTALT_CONFIG"


def user_config_path(environ: Mapping[str, str]) -> Path:
    """Return ``~/.gestaltd/config.yaml``.

    Raises:
        ConfigurationUnreadable: no home directory is known.
    """
    try:
        home = Path(environ.get("HOME") or Path.home())
    except RuntimeError:
        raise ConfigurationUnreadable(
            "no home directory is known for this user, so there is no ~/.gestaltd/config.yaml: set HOME, or name the "
            f"configuration with --config or {CONFIG_VARIABLE}"
        ) from None
    return home / ".gestaltd" / "config.yaml"


def find_config(flags: Sequence[str], environ: Mapping[str, str], directory: Path | None = None) -> list[Path]:
    """Return the files to load: ``--config`` flags, else ``GESTALT_CONFIG``, else ``./config.yaml``, else the user's.

    Only the last two depend on what exists; the user's path is returned whether it exists or not.
    """
    if flags:
        return [Path(flag) for flag in flags]
    if environ.get(CONFIG_VARIABLE):
        return [Path(environ[CONFIG_VARIABLE])]
    with suppress(OSError):  # a working directory that is gone, or may not be read, has no such file
        local = (directory or Path.cwd()) / "config.yaml"
        if local.exists():
            return [local]
    return [user_config_path(environ)]


def load(
    paths: Sequence[Path],
    environ: Mapping[str, str],
    *,
    static: bool = False,
    tokens: bool | None = None,
    texts: Mapping[Path, str] | None = None,
) -> HostConfig:
    """Read and check the configuration.

    Args:
        paths: Layers, left to right; at least one.
        environ: Variables for placeholders and for the built-in secrets provider ``env``.
        static: For commands without run-time state: a missing variable counts as empty, secrets are not fetched.
        tokens: With ``static``, for commands on packages: whether what the tokens of sources are taken from must be
            there. Nothing else need be, nor is it judged where a variable is missing.
        texts: What to read in place of files that are still to be written.
    Raises:
        ConfigurationUnreadable: a file cannot be read.
        ConfigurationInvalid: anything else, all of it.
    """
    findings = Findings()
    faults = findings.faults
    placeholders = Placeholders(environ)
    documents = [_read_document(path, (texts or {}).get(path), placeholders, findings) for path in paths]
    layers = [document for document in documents if document is not None]
    if len(layers) < len(documents):
        raise ConfigurationInvalid(faults.problems)
    root = layers[0]
    for layer in layers[1:]:
        root = merge(root, layer)
    unset = _unset_variables(root, placeholders)
    token_paths = _token_paths(root)
    needed = token_paths if tokens else ()
    missing = [problem for problem in unset if not static or problem.path in needed]
    faults.problems.extend(missing)
    if static:
        root, *layers = [_without_unset(tree, placeholders) for tree in (root, *layers)]
    if len(layers) > 1:
        _check_shapes(layers, faults)
    before = len(faults.problems)
    root = _replace_secrets(root, environ, findings, needed=needed if static else None)
    missing += faults.problems[before:]
    config = _read(root, paths, findings)
    shown = [replace(p, path=placeholders.shown(p.path), reason=placeholders.shown(p.reason)) for p in faults.problems]
    unset_here = [p for p in unset if not static or _may_be_missing(p.path, token_paths, tokens)]
    covered = {(problem.place.file, problem.path) for problem in (*missing, *unset_here)}
    problems = [p for p in shown if p in missing or (p.place.file, p.path) not in covered]
    if problems:
        raise ConfigurationInvalid(sorted(dict.fromkeys(problems), key=_reading_order(paths)), unset if static else ())
    return replace(config, unset=tuple(unset)) if static else config


def require_serveable(config: HostConfig) -> None:
    """Refuse a configuration that lacks what `serve` needs beyond a valid one.

    Raises:
        ConfigurationInvalid: listing what is missing and what this version cannot do.
    """
    faults = Faults()
    place = Place(str(config.files[0]))
    if not config.server.encryption_key:
        key_place = config.server.encryption_key_place or place
        faults.add(key_place, "server.encryptionKey", f"is required to serve; {ACCEPTED_KEYS}")
    if not config.indexeddb:
        faults.add(place, "server.providers.indexeddb", "is required: no IndexedDB provider can be selected")
    faults.problems.extend(replace(problem, reason=f"{problem.reason}; remove it") for problem in config.unprovided)
    faults.raise_any()


def _read_document(path: Path, text: str | None, placeholders: Placeholders, findings: Findings) -> Node | None:
    faults = findings.faults
    try:
        text = read_text(path, "utf-8-sig") if text is None else text.removeprefix("\ufeff")
    except ConfigurationUnreadable as error:
        reason = str(error)
        raise ConfigurationUnreadable(f"reading config file: open {path}: {reason[:1].lower()}{reason[1:]}") from None
    node = parse_yaml(placeholders.mark(text, str(path)), str(path), faults, placeholders, ignored=findings.unused)
    if node is not None:
        _check_version(node, faults)
        check_references(node, faults)
    return node


def _check_version(node: Node, faults: Faults) -> None:
    """Refuse another apiVersion than the current one; a file without one is of the current one."""
    assert isinstance(node.value, dict)
    version = node.value.get("apiVersion")
    if version is None:
        return
    text = version.text.strip()
    if version.value == "":
        faults.add(version.place, "apiVersion", f'apiVersion is required; supported value is "{SUPPORTED_API_VERSION}"')
    elif text != SUPPORTED_API_VERSION:
        faults.add(
            version.place,
            "apiVersion",
            f'unsupported apiVersion "{text or "null"}"; supported value is "{SUPPORTED_API_VERSION}"',
        )


def _check_shapes(layers: Sequence[Node], faults: Faults) -> None:
    """Check that each layer alone fits the schema, so that an overlay cannot hide a typing error below it."""
    for layer in layers:
        alone = Findings()
        # A reference stands for a text, whatever its value is.
        layer = replace_references(layer, lambda _reference: None, Faults())
        _read(layer, (Path(layer.place.file),), alone)
        faults.problems.extend(problem for problem in alone.faults.problems if problem.shape)


def _replace_secrets(
    root: Node, environ: Mapping[str, str], findings: Findings, *, needed: Collection[str] | None
) -> Node:
    """Return the tree with secrets in place of their references; of those ``needed``, by dotted path. None: all."""
    entries = _read(root, (Path(root.place.file),), Findings()).providers["secrets"]
    resolver = SecretResolver(entries, environ, findings.faults)

    def resolve(reference: SecretReference) -> str | None:
        if needed is None:
            return resolver.resolve(reference)
        return resolver.resolve_alone(reference) if reference.path in needed else resolver.check(reference)

    return replace_references(root, resolve, findings.faults)


def _token_paths(root: Node) -> frozenset[str]:
    """Return the dotted paths of the tokens that packages are downloaded with."""
    kinds = ["plugins", "runtime.providers", *(f"providers.{kind}" for kind in PROVIDER_KINDS)]
    return frozenset(f"{kind}.{name}.source.auth.token" for kind in kinds for name in _names(root, kind))


def _may_be_missing(path: str, token_paths: Collection[str], tokens: bool | None) -> bool:
    """Return whether it is no fault of a value, read without run-time state, that a variable in it is not set."""
    return path in token_paths or (tokens is not None and ".source" not in path)


def _names(root: Node, path: str) -> Collection[str]:
    node: Node | None = root
    for key in path.split("."):
        node = node.value.get(key) if node is not None and isinstance(node.value, dict) else None
    return node.value if node is not None and isinstance(node.value, dict) else ()


def _read(root: Node, paths: Sequence[Path], findings: Findings) -> HostConfig:
    faults = findings.faults
    top = Block(root, "", faults, root.place)
    with top:
        top.text("apiVersion")
        repositories = read_repositories(top, findings)
        keys, key_places = _read_keys(top)
        server = read_server(top.block("server"), findings)
        policies = read_policies(top.block("authorization"))
        shared = read_shared_connections(top, findings)
        context = EntryContext(server, policies, shared)
        providers = read_provider_entries(_with_defaults(top.block("providers"), top, faults), context, findings)
        with top.block("runtime") as runtime:
            providers["runtime"] = read_runtime_providers(runtime, context, findings)
        plugins = read_plugins(top, context, findings)
        selected = select_entries(server, providers, top.block("server").block("providers").place, faults)
        stores, store = providers["indexeddb"], selected.get("indexeddb", "")
        plugins = resolve_bindings(plugins, stores, store, faults)
        for kind in ("workflow", "agent"):
            providers[kind] = resolve_bindings(providers[kind], stores, store, faults)
        check_databases_apart(providers["workflow"], stores, faults)
        _check_invokes(plugins, faults)
        _check_verifiable([*plugins.values(), *(e for kind in providers.values() for e in kind.values())], keys, faults)
        workflow_context = WorkflowContext(
            plugins,
            providers["workflow"],
            providers["agent"],
            selected.get("workflow", ""),
            selected.get("agent", ""),
            findings.uses,
        )
        with top.block("workflows") as workflows:
            schedules = read_schedules(workflows, workflow_context)
            triggers = read_event_triggers(workflows, workflow_context)
    return HostConfig(
        files=tuple(path.absolute() for path in paths),
        directory=paths[0].absolute().parent,
        server=server,
        policies=policies,
        connections=shared,
        providers=providers,
        plugins=plugins,
        schedules=schedules,
        event_triggers=triggers,
        indexeddb=store,
        workflow=selected.get("workflow", ""),
        unprovided=tuple(findings.unprovided),
        unused=tuple(findings.unused),
        uses=tuple(findings.uses),
        repositories=repositories,
        provider_keys=keys,
        provider_key_places=key_places,
    )


def _with_defaults(providers: Block, top: Block, faults: Faults) -> Block:
    """Return ``providers`` with the secrets entry that is there when none is configured."""
    node = top.node("providers")
    values = node.value if node is not None and isinstance(node.value, dict) else {}
    if node is not None and not isinstance(node.value, dict):
        return providers
    if "secrets" in values and values["secrets"].value not in (None, {}):
        return providers
    place = node.place if node is not None else top.place
    base = node or Node(place, {})
    completed = replace(base, value={**values, "secrets": from_plain({"default": {"source": "env"}}, place)})
    return Block(completed, "providers", faults, place)


def _read_keys(top: Block) -> tuple[dict[str, str], dict[str, Place]]:
    """Return the public keys by name, and where each is written; what they mean is for those who verify by them."""
    keys, block = top.text_map("providerKeys"), top.block("providerKeys")
    for name, key in keys.items():
        if not key.strip():
            block.fault(name, "is required: the text of a public key")
    return {name: key.strip() for name, key in keys.items()}, {name: block.place_of(name) for name in keys}


def _check_verifiable(entries: Sequence[ProviderEntry], keys: Mapping[str, str], faults: Faults) -> None:
    for entry in entries:
        if entry.verify and not keys:
            reason = "needs the public key of whoever signs the release; name it in providerKeys"
            faults.add(entry.place, f"{entry.path}.verify", reason)


def _check_invokes(plugins: Mapping[str, ProviderEntry], faults: Faults) -> None:
    for entry in plugins.values():
        for index, invoke in enumerate(entry.invokes):
            if invoke.plugin and invoke.plugin not in plugins:
                reason = unknown_entry("plugin", invoke.plugin, plugins)
                faults.add(entry.place, f"{entry.path}.invokes[{index}].plugin", reason)


def _unset_variables(root: Node, placeholders: Placeholders) -> list[Problem]:
    """Return a problem for each mention of a variable that is not set in what the layers have left."""
    mentions = [(path, node.text) for path, node in root.scalars()]
    mentions += [(path, key) for path, key in _keys(root, "")]
    return [
        Problem(place, placeholders.shown(path), _not_set(name))
        for path, text in mentions
        for name, place in placeholders.unset_in(text)
    ]


def _not_set(name: str) -> str:
    return f'environment variable "{name}" not set; use ${{{name}:-}} to allow an empty default'


def _keys(node: Node, path: str) -> Iterator[tuple[str, str]]:
    """Yield the dotted path and the name of every key below the node."""
    if isinstance(node.value, dict):
        for key, child in node.value.items():
            child_path = f"{path}.{key}" if path else key
            yield child_path, key
            yield from _keys(child, child_path)
    elif isinstance(node.value, list):
        for index, child in enumerate(node.value):
            yield from _keys(child, f"{path}[{index}]")


def _without_unset(node: Node, placeholders: Placeholders) -> Node:
    empty = placeholders.without_unset
    if isinstance(node.value, dict):
        values = {empty(key): _without_unset(child, placeholders) for key, child in node.value.items()}
        return replace(node, value=values, key_places={empty(key): place for key, place in node.key_places.items()})
    if isinstance(node.value, list):
        return replace(node, value=[_without_unset(child, placeholders) for child in node.value])
    if isinstance(node.value, str):
        return replace(node, value=empty(node.value), text=empty(node.text))
    return node


def _reading_order(paths: Sequence[Path]) -> Callable[[Problem], tuple[int, int]]:
    files = {str(path): index for index, path in enumerate(paths)}
    return lambda problem: (files.get(problem.place.file, -1), problem.place.line)
