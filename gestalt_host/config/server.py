"""Reading ``server`` and ``authorization`` (config.md 8, 9)."""

from __future__ import annotations

import re
from datetime import timedelta
from ipaddress import ip_address

from gestalt_host.config.model import ListenerConfig, OutputLimits, Policy, ServerConfig, SupervisionConfig
from gestalt_host.config.reader import Block, parse_config_duration
from gestalt_host.config.sections import Findings, accept_unprovided, accept_unused
from gestalt_host.config.sources import is_http_url

DEFAULT_PORT = 8080
DEFAULT_TOKEN_TTL = timedelta(days=30)
_GIB = 1024**3
LEAST_SILENCE = timedelta(seconds=5)
"""A shorter one could not be told from a process that is merely slow to answer."""
_HOST_NAME = re.compile(r"[\w-]+(\.[\w-]+)*\.?", re.ASCII)
NEVER = ("never", "0", "0s")
SELECTABLE_KINDS = (
    "authentication",
    "authorization",
    "externalCredentials",
    "secrets",
    "telemetry",
    "audit",
    "indexeddb",
)


def read_server(block: Block, findings: Findings) -> ServerConfig:
    with block:
        with block.block("public") as public:
            host, port = public.text("host"), public.integer("port", DEFAULT_PORT, minimum=1, maximum=65535)
            allowed_hosts = _allowed_hosts(public)
            most_connections = public.integer(
                "maxConnections", ListenerConfig().most_connections, minimum=16, maximum=1_000_000
            )
        base_url = _base_url(block)
        management = _management(block, host, port, findings)
        key = block.text("encryptionKey")
        accept_unused(block, findings, "apiTokenTtl")
        ttl = block.duration("apiTokenTtl", parse_config_duration) or DEFAULT_TOKEN_TTL
        artifacts_dir = block.path_text("artifactsDir")
        provider_output = _provider_output(block.block("providerOutput"))
        supervision = _supervision(block)
        with block.block("providers") as providers:
            selectors = {kind: providers.text(kind) for kind in SELECTABLE_KINDS if providers.has(kind)}
        with block.block("agent") as agent:
            accept_unused(agent, findings, "defaultToolNarrowingThreshold")
            agent.integer("defaultToolNarrowingThreshold", 200, minimum=0)
        with block.block("dev") as dev:
            dev.one_of("attachmentState", ("indexeddb",))
            accept_unprovided(dev, findings, attachmentState="attaching providers")
        with block.block("runtime") as runtime:
            if runtime.has("defaultHostedProvider"):
                runtime.fault("defaultHostedProvider", "is no longer supported; use defaultProvider")
            accept_unprovided(runtime, findings, defaultProvider="hosted placement", relayBaseUrl="hosted placement")
        with block.block("egress") as egress:
            egress_deny = egress.one_of("defaultAction", ("allow", "deny")) == "deny"
        with block.block("admin") as admin:
            accept_unprovided(
                admin,
                findings,
                authorizationPolicy="the admin console",
                allowedRoles="the admin console",
                ui="the admin console",
            )
    return ServerConfig(
        public=ListenerConfig(host, port, base_url, allowed_hosts, most_connections),
        management=management,
        encryption_key=key,
        encryption_key_place=block.place_of("encryptionKey") if block.node("encryptionKey") is not None else None,
        api_token_ttl=ttl,
        artifacts_dir=artifacts_dir,
        provider_output=provider_output,
        supervision=supervision,
        egress_deny=egress_deny,
        selectors={kind: name for kind, name in selectors.items() if name},
    )


def _allowed_hosts(public: Block) -> tuple[str, ...]:
    names = public.names("allowedHosts")
    for index, name in enumerate(names):
        if not _HOST_NAME.fullmatch(name) and not _is_address(name):
            public.fault(
                f"allowedHosts[{index}]",
                f"{name!r} is not a host; accepted are names and addresses without scheme, port and path",
            )
    return names


def _is_address(text: str) -> bool:
    try:
        ip_address(text.removeprefix("[").removesuffix("]"))
    except ValueError:
        return False
    return True


def _supervision(block: Block) -> SupervisionConfig:
    usual = SupervisionConfig()
    with block.block("supervision") as supervision:
        silent = usual.restart_silent
        text = supervision.raw_text("restartSilentAfter")
        if text.lower() in NEVER:
            silent = None
        elif (asked := supervision.duration("restartSilentAfter", parse_config_duration)) is not None:
            silent = asked
            if asked < LEAST_SILENCE:
                accepted = f"accepted are durations of at least {LEAST_SILENCE.seconds}s, and never"
                supervision.fault("restartSilentAfter", f"{text!r} is too short; {accepted}")
        return SupervisionConfig(
            start_timeout=supervision.duration("startTimeout", parse_config_duration) or usual.start_timeout,
            slow_start=supervision.duration("slowStartAfter", parse_config_duration) or usual.slow_start,
            restart_silent=silent,
            shutdown=supervision.duration("shutdownTimeout", parse_config_duration) or usual.shutdown,
        )


def _management(block: Block, public_host: str, public_port: int, findings: Findings) -> ListenerConfig | None:
    with block.block("management") as management:
        host, base_url = management.text("host"), _base_url(management)
        port = management.integer("port", 0, minimum=1, maximum=65535)
    if not management.present or not (port or host or base_url):
        return None
    findings.not_provided(block, "management", "a second listener")
    if not port:
        management.fault("port", "is required when management.host or management.baseUrl is set")
        return None
    if (host, port) == (public_host, public_port):
        management.fault("port", f"the management listener must differ from the public one, {host or '*'}:{port}")
    return ListenerConfig(host, port, base_url)


def _provider_output(block: Block) -> OutputLimits:
    default = OutputLimits()
    with block:
        return OutputLimits(
            bytes_per_second=block.integer("bytesPerSecond", default.bytes_per_second, minimum=1024, maximum=_GIB),
            # So that a line of the greatest length fits.
            burst_bytes=block.integer("burstBytes", default.burst_bytes, minimum=128 * 1024, maximum=_GIB),
            line_bytes=block.integer("lineBytes", default.line_bytes, minimum=256, maximum=64 * 1024),
        )


def _base_url(block: Block) -> str:
    text = block.text("baseUrl").rstrip("/")
    # What splits the text would take line breaks and tabs out.
    if text and not (text.isprintable() and is_http_url(text)):
        block.fault("baseUrl", "must be an absolute http or https URL")
        return ""
    return text


def read_policies(authorization: Block) -> dict[str, Policy]:
    policies: dict[str, Policy] = {}
    with authorization:
        for name, block in authorization.entries("policies"):
            with block:
                default = block.one_of("default", ("allow", "deny"))
                members: dict[str, str] = {}
                for member in block.blocks("members"):
                    with member:
                        subject = member.text("subjectID", required=True)
                        role = member.text("role", required=True)
                    if subject in members:
                        member.fault("subjectID", f"{subject!r} is a duplicate")
                    elif subject and role:
                        members[subject] = role
            policies[name.strip()] = Policy(name.strip(), default, members)  # type: ignore[arg-type]
    return policies
