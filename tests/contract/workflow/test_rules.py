"""The rules of `gestaltd provider verify` for workflow providers, on ours or the one in its place."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from gestalt_host.packages import LaunchCommand
from gestalt_host.verification.backing import backing_store
from gestalt_host.verification.report import Outcome
from gestalt_host.verification.rules import Rule
from gestalt_host.verification.run import verify
from gestalt_host.verification.subject import Candidate
from gestalt_host.verification.suites import workflow
from gestalt_sdk.bases.provider import ProviderKind
from tests.support.commands import ROOT, STORE, WORKFLOW
from tests.support.rigs.postgres import PostgresServer
from tests.support.rigs.workflow import ProviderProcess

MARKS = {
    "semantics.md 16/refused": pytest.mark.trap("a", "b"),
    "semantics.md 17/fires": pytest.mark.nightly,
    "semantics.md 18.7/one-of-many": pytest.mark.trap(12),
    "semantics.md 19.1/idempotent-start": pytest.mark.trap("f"),
    "semantics.md 19.1/racing": pytest.mark.trap(16),
    "semantics.md 19.1/workflow-key": pytest.mark.trap("n"),
    "semantics.md 19.2/refused": pytest.mark.trap("n"),
    "semantics.md 19.3/at-the-end": pytest.mark.trap(6, "q"),
    "semantics.md 19.3/counter": pytest.mark.trap(13),
    "semantics.md 19.3/one-row": pytest.mark.trap(12),
    "semantics.md 19.4/keys-of-subjects": pytest.mark.trap("f", "m"),
    "semantics.md 20/fresh-database": pytest.mark.trap(21),
    "semantics.md 15.2/drain": pytest.mark.trap(22),
}
"""The traps that a rule catches; and those that wait for the clock run at night."""


def parameter(rule: Rule) -> object:
    return pytest.param(rule, id=rule.id.removeprefix("semantics.md "), marks=MARKS.get(rule.id, ()))


@pytest.fixture(
    params=["sqlite", pytest.param("postgres", marks=[pytest.mark.ours("store"), pytest.mark.nightly])],
)
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Callable[[], Awaitable[str]]]:
    """Return the socket of an empty store each time: of the one that is tested, on SQLite or on PostgreSQL."""
    environ = {**os.environ, "PYTHONPATH": str(ROOT)}
    async with AsyncExitStack() as stack:
        if request.param == "sqlite" and not STORE.replaced:
            yield await stack.enter_async_context(backing_store(tmp_path, environ))
            return
        started = 0

        async def new_socket() -> str:
            nonlocal started
            started += 1
            config = {"dsn": f"sqlite://{tmp_path}/state-{started}.db"}
            if request.param == "postgres":
                server: PostgresServer = request.getfixturevalue("postgres_server")
                config = {"dsn": server.dsn, "schema": server.new_schema()}
            process = ProviderProcess(f"store{started}", STORE.text, tmp_path, {}, config)
            stack.push_async_callback(process.kill)
            await process.boot(start=False)
            return str(process.socket)

        yield new_socket


@pytest.mark.parametrize("rule", [*map(parameter, workflow.RULES)])
async def test_a_rule_is_kept(rule: Rule, store: Callable[[], Awaitable[str]]) -> None:
    environ = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = LaunchCommand(tuple(WORKFLOW.words()), {"PYTHONPATH": str(ROOT)})
    candidate = Candidate(ProviderKind.WORKFLOW, command, "tested", {"pollInterval": "100ms"}, store)
    [finding] = (await verify(candidate, [rule], environ)).findings
    accepted = {Outcome.PASSED, Outcome.NOT_OFFERED} if WORKFLOW.replaced else {Outcome.PASSED}
    assert finding.outcome in accepted, "\n".join(
        [f"expected {finding.expected}; seen: {finding.seen}", *map(str, finding.frames), *finding.last_lines]
    )
