"""Routes that tell which providers run here, in which state (http-api.md 3.1). They read reports and call nobody."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from gestalt_host.errors import InvalidArgument, ProviderUnknown, quoted
from gestalt_host.http.call import Answer, Call, json_answer
from gestalt_host.http.routing import Route
from gestalt_host.http.shapes.providers import provider_shape
from gestalt_host.supervisor.reports import KINDS, STATES, ProviderReport

_MOST_NAMED = 20
"""Of the providers that are configured in place of one that is not."""


async def list_providers(call: Call) -> Answer:
    """Answer GET of all configured providers, by kind and name, with the filters ``kind`` and ``state``."""
    kind, state = _filter(call, "kind", KINDS), _filter(call, "state", STATES)
    reports = await _reports(call)
    found = [report for report in reports if kind in ("", report.kind) and state in ("", report.state)]
    return json_answer([provider_shape(report) for report in found])


async def get_provider(call: Call) -> Answer:
    """Answer GET of one provider."""
    kind, name = call.values
    if kind not in KINDS:
        raise ProviderUnknown(f"no provider has the kind {quoted(kind)}; kinds are {_listed(KINDS, 'and')}")
    known = [report for report in await _reports(call) if report.kind == kind]
    for report in known:
        if report.name == name:
            return json_answer(provider_shape(report))
    configured = ", ".join(report.name for report in known[:_MOST_NAMED]) or "none"
    if len(known) > _MOST_NAMED:
        configured += f" and {len(known) - _MOST_NAMED} more"
    raise ProviderUnknown(f"{kind} provider {quoted(name)} is not configured; configured: {configured}")


async def _reports(call: Call) -> Sequence[ProviderReport]:
    """Return the reports, made in a thread: to know the memory, all processes of the machine are looked at."""
    return await asyncio.to_thread(call.services.providers)


def _filter(call: Call, key: str, accepted: Sequence[str]) -> str:
    """Return the value of a filter; empty: any."""
    value = call.query.get(key, "").strip()
    if value and value not in accepted:
        raise InvalidArgument(f"{key} must be {_listed(accepted, 'or')}, not {quoted(value)}")
    return value


def _listed(words: Sequence[str], last: str) -> str:
    return f"{', '.join(words[:-1])} {last} {words[-1]}"


ROUTES = (
    Route("GET", "providers", list_providers),
    Route("GET", "providers/{kind}/{name}", get_provider),
)
