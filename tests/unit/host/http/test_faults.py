"""Every error that the host raises on purpose has an HTTP answer, and nothing that should stay inside leaks."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import structlog.testing

import gestalt_host
from gestalt_host import errors
from gestalt_host.errors import HostError
from gestalt_host.http.faults import HTTP_FAULTS, PROVIDER_STATUS, answer_to, fault_of
from tests.support.fakes.host import FakeHost

SCHEDULE = {"cron": "0 3 * * *", "target": {"plugin": {"name": "roadmap", "operation": "noop"}}}


def subclasses(cls: type[HostError]) -> Iterator[type[HostError]]:
    for found in cls.__subclasses__():
        yield found
        yield from subclasses(found)


def import_everything() -> None:
    for module in pkgutil.walk_packages(gestalt_host.__path__, "gestalt_host."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)


STARTING = (
    "gestalt_host.config.",
    "gestalt_host.packages.",
    "gestalt_host.supervisor.",
    "gestalt_host.daemon.",
    "gestalt_host.verification.",
    "gestalt_host.invocation.assembly",
    "gestalt_host.workflows.reconcile",
    "gestalt_host.workflows.targets.configured",
)
"""Errors of these modules end a command, or the start of the host or of one provider, before or beside any request."""

INSIDE_RUNS = {"InvocationTokenInvalid", "AgentTurnFailed", "ReferenceLookupFailed"}
"""Answered to plugins over gRPC, or recorded on the run that failed."""


def test_every_host_error_that_a_request_can_meet_has_a_row() -> None:
    import_everything()
    without = [
        cls.__name__
        for cls in subclasses(HostError)
        if not any(base in HTTP_FAULTS for base in cls.__mro__)
        and not cls.__module__.startswith(STARTING)
        and cls is not errors.EntryFailed  # the base of those that end the start of an entry
        and cls.__name__ not in INSIDE_RUNS
    ]
    assert without == []


def test_the_nearest_base_class_decides() -> None:
    assert fault_of(errors.OperationAccessDenied()) is HTTP_FAULTS[errors.AuthorizationDenied]
    assert fault_of(HostError("x")) is None


@pytest.mark.parametrize(
    ("error", "status", "body"),
    [
        (errors.PluginNotFound("x"), 404, {"error": 'integration "x" not found'}),
        (
            errors.CredentialMissing("crm"),
            412,
            {
                "error": 'no external credential stored for integration "crm"; connect via OAuth first',
                "code": "not_connected",
                "integration": "crm",
            },
        ),
        (
            errors.PlatformCredentialMissing("crm"),
            412,
            {
                "error": 'deployment/admin configuration is required for integration "crm"',
                "code": "admin_configuration_required",
                "integration": "crm",
            },
        ),
        (
            errors.CredentialRejected("crm"),
            412,
            {
                "error": 'stored credential for integration "crm" was rejected by upstream; reconnect it',
                "code": "reconnect_required",
                "integration": "crm",
            },
        ),
        *(
            (kind("GET http://a/{id}", "why"), 502, {"error": f"{words}: GET http://a/{{id}}: why"})
            for kind, words in (
                (errors.UpstreamTimeout, "upstream service timed out"),
                (errors.UpstreamUnreachable, "failed to reach upstream service"),
                (errors.EgressRefused, "failed to reach upstream service"),
                (errors.UpstreamUnreadable, "failed to read upstream response"),
                (errors.UpstreamInvalid, "upstream service returned an invalid response"),
            )
        ),
        (errors.AuthorizationDenied("crm.x"), 403, {"error": "authorization denied: crm.x"}),
        (errors.InvalidInvocation("no"), 400, {"error": "invalid invocation: no"}),
        (errors.WorkflowNotConfigured("workflow is not configured"), 412, {"error": "workflow is not configured"}),
        (errors.ProviderRequired("a provider is required"), 400, {"error": "a provider is required"}),
        (errors.ProviderUnavailable("workflow provider is down"), 503, {"error": "workflow provider is down"}),
        (errors.CapabilityMissing("local lacks workflow.retarget"), 412, {"error": "local lacks workflow.retarget"}),
        *(
            (errors.ProviderRefused(code, f"the {code} text"), status, {"error": f"the {code} text"})
            for code, status in PROVIDER_STATUS.items()
        ),
        (
            errors.ProviderRefused("INTERNAL", "sqlite: secret path"),
            500,
            {"error": 'workflow schedule request failed for integration "roadmap"'},
        ),
        (
            RuntimeError("a bug with a secret"),
            500,
            {"error": 'workflow schedule request failed for integration "roadmap"'},
        ),
        (
            TimeoutError("of something inside"),
            500,
            {"error": 'workflow schedule request failed for integration "roadmap"'},
        ),
    ],
    ids=lambda value: f"{type(value).__name__}-{getattr(value, 'code', '')}" if isinstance(value, Exception) else None,
)
async def test_an_error_is_answered_with(
    error: Exception, status: int, body: dict[str, str], host: FakeHost, api: httpx.AsyncClient
) -> None:
    host.manager.state.failure = error
    answer = await api.post("/api/v1/workflow/schedules", json=SCHEDULE)
    assert (answer.status_code, answer.json()) == (status, body)


@pytest.mark.parametrize(
    ("method", "path", "text"),
    [
        ("GET", "/workflow/schedules", "workflow schedule request failed"),
        ("GET", "/workflow/event-triggers", "workflow trigger request failed"),
        ("GET", "/workflow/runs", "workflow run request failed"),
        ("POST", "/workflow/runs/x/cancel", "workflow run request failed"),
    ],
)
async def test_what_must_not_leak_has_the_text_of_its_route(
    method: str, path: str, text: str, host: FakeHost, api: httpx.AsyncClient
) -> None:
    for error in (errors.ProviderRefused("UNKNOWN", "secret"), HostError("secret"), ValueError("secret")):
        host.manager.state.failure = error
        answer = await api.request(method, f"/api/v1{path}")
        assert (answer.status_code, answer.json()) == (500, {"error": text})


async def test_a_failed_publish_and_agent_targets_have_their_own_texts(host: FakeHost, api: httpx.AsyncClient) -> None:
    host.manager.state.failure = ValueError("secret")
    answer = await api.post("/api/v1/workflow/events", json={"type": "x"})
    assert answer.json() == {"error": "workflow event publish failed"}
    answer = await api.post("/api/v1/workflow/event-triggers", json={"match": {"type": "x"}, "target": {"agent": {}}})
    assert answer.json() == {"error": 'workflow trigger request failed for integration "agent"'}


def test_cancelling_a_finished_run_is_a_conflict_and_other_preconditions_are_not() -> None:
    error = errors.ProviderRefused("FAILED_PRECONDITION", "x")
    assert answer_to(error, failure="f", finished_run=True).status == 409
    assert answer_to(error, failure="f").status == 412


@pytest.mark.trap(27)
async def test_what_the_caller_is_not_told_is_in_the_log(host: Any, api: Any) -> None:
    host.manager.state.failure = ValueError("the secret reason")
    with structlog.testing.capture_logs() as logged:
        answer = await api.get("/api/v1/workflow/schedules")
    assert answer.status_code == 500
    assert "secret" not in answer.text
    (line,) = [line for line in logged if line.get("event_name") == "http.failed"]
    assert line["exc_info"]
