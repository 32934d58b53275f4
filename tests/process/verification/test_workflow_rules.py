"""The rules of workflow providers, a fault for each of their modules: planted into our provider, and caught by name."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from gestalt_host.packages import LaunchCommand
from gestalt_host.verification.backing import backing_store
from gestalt_host.verification.report import Outcome
from gestalt_host.verification.run import rules_for, verify
from gestalt_host.verification.subject import Candidate, Patience
from gestalt_sdk.bases.provider import ProviderKind
from tests.support.commands import ROOT, WORKFLOW
from tests.support.nightly import at_night

FAULTY = ROOT / "tests" / "support" / "plugins" / "faulty" / "workflows.py"
PLANTED = {
    "forgets_who_made_a_schedule": "semantics.md 19.7/schedule-life",
    "takes_ids_of_others": "semantics.md 15.5/owner",
    "is_an_hour_late": "semantics.md 16/next-slot",
    "takes_the_second_pass": "semantics.md 16/clock-changes",
    "takes_any_cron": "semantics.md 16/refused",
    "loses_the_connection_of_a_target": "semantics.md 2.1/plugin-target",
    "lists_references_of_all": "semantics.md 7.4/put",
    "lists_a_hundred": "semantics.md 19.7/many",
    "swallows_failures": "semantics.md 18.5/statuses",
    "keeps_the_beginning_of_results": "semantics.md 18.5/long-result",
    "forgets_idempotency": "semantics.md 19.1/idempotent-start",
    "counts_signals_from_zero": "semantics.md 18.3/batches",
    "takes_signals_of_ended_runs": "semantics.md 19.2/refused",
    "publishes_to_everybody": "semantics.md 19.6/owner-filter",
    "matches_beginnings": "semantics.md 19.6/matching",
    "knows_owners_by_their_beginning": "semantics.md 19.6/owner-filter",
    "runs_as_the_publisher": "semantics.md 19.6/as-the-owner",
    "hides_interruptions": "semantics.md 18.6/interrupted",
    "forgets_what_it_acknowledged": "semantics.md 21/kept",
    "races_without_looking": "semantics.md 19.1/racing",
}
"""A fault, and the rule that it breaks."""
SOME = (
    "takes_ids_of_others",
    "takes_any_cron",
    "lists_references_of_all",
    "swallows_failures",
    "counts_signals_from_zero",
    "publishes_to_everybody",
    "hides_interruptions",
    "races_without_looking",
)
"""One for each module of rules; the others are tried at night."""


@pytest.mark.parametrize("fault", at_night(tuple(PLANTED), otherwise=SOME))
async def test_a_planted_fault_is_caught_by_its_rule(tmp_path: Path, fault: str) -> None:
    environ = {**os.environ, "TMPDIR": str(tmp_path)}
    ours = WORKFLOW.ours.split("gestalt_sdk.run ")[1].split()
    command = LaunchCommand((sys.executable, str(FAULTY), *ours), {"FAULT": fault, "PYTHONPATH": str(ROOT)})
    async with backing_store(tmp_path, environ) as store:
        config = {"pollInterval": "100ms"}
        candidate = Candidate(ProviderKind.WORKFLOW, command, "faulty", config, store, Patience(alive_s=5.0))
        [finding] = (await verify(candidate, rules_for(candidate.kind, [PLANTED[fault]]), environ)).findings
    assert finding.outcome is Outcome.FAILED
    assert "to come to its end" not in finding.expected, finding
    assert finding.seen
    assert finding.frames
