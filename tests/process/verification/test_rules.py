"""Each rule of every kind, and of plugins, is broken by a fault of its kind, and kept by a provider without one.

The minimal provider has no store and no workflows: the rules of those suites have their faults elsewhere.
"""

from __future__ import annotations

import asyncio
import os
import re
import sys
from pathlib import Path

import pytest

from gestalt_host.packages import LaunchCommand
from gestalt_host.supervisor import ProcessGroups
from gestalt_host.verification import families
from gestalt_host.verification.backing import backing_store
from gestalt_host.verification.families.extensions import DOORS
from gestalt_host.verification.outcomes import Broken
from gestalt_host.verification.report import Outcome, Report
from gestalt_host.verification.rules import Rule
from gestalt_host.verification.run import rules_for, verify
from gestalt_host.verification.sources import KIND_WORDS
from gestalt_host.verification.subject import Candidate, Patience, Subject
from gestalt_host.verification.suites import plugin
from gestalt_sdk.common.beats import Beats
from tests.support.commands import ROOT
from tests.support.nightly import at_night

FAULTY = ROOT / "tests" / "support" / "plugins" / "faulty" / "faulty.py"
KIND = "contract.md 1.3/kind"
HURRIED = Patience(call_s=5.0, stop_s=0.5, drain_s=0.5, orphan_s=0.5, held_s=1.0, alive_s=3.0)
"""For faults that are shown by waiting in vain; a provider without one gets the time that a host gives it."""
PLANTED = {
    "exits_at_once": "contract.md 2.4/serves",
    "answers_no_call": "contract.md 1.3/answers",
    "is_of_another_kind": "contract.md 1.3/kind",
    "speaks_later_versions_only": "contract.md 1.2/bounds",
    "answers_another_version": "contract.md 1.2/version",
    "takes_any_version": "contract.md 1.2/other-versions",
    "changes_its_kind": "contract.md 1.3/identity-again",
    "starts_another_version": "contract.md 1.3/start",
    "is_configured_once": "contract.md 1.3/configure-twice",
    "dies_of_odd_values": "contract.md 1.3/bad-configuration",
    "is_changed_by_a_check": "contract.md 1.3/check-config",
    "health_is_an_error": "contract.md 1.3/health-before",
    "is_never_ready": "contract.md 1.3/health",
    "is_not_serving": "contract.md 2.3/grpc-health",
    "lists_no_services": "contract.md 2.3/reflection",
    "links_its_socket": "contract.md 2.1/socket",
    "minds_a_stale_socket": "contract.md 2.3/stale-socket",
    "leaves_its_socket": "contract.md 2.3/removed-socket",
    "waits_without_socket": "contract.md 2.3/without-socket",
    "has_every_method": "contract.md 2.3/unknown-method",
    "takes_what_is_no_message": "contract.md 2.3/undecodable",
    "refuses_unknown_fields": "contract.md 3/unknown-fields",
    "takes_small_messages_only": "contract.md 2.3/large",
    "takes_messages_of_any_size": "contract.md 2.3/oversized",
    "refuses_metadata": "contract.md 2.6/metadata",
    "dies_of_a_crowd": "contract.md 2.4/signs-of-life",
    "dies_of_cancelled_calls": "contract.md 1.4/given-up",
    "needs_its_variables": "contract.md 2.5/unset",
    "dies_without_store": "contract.md 2.5/dead",
    "hangs_with_store": "contract.md 2.5/slow",
    "dies_of_noise": "contract.md 2.5/noise",
    "dies_of_nonsense": "contract.md 2.5/nonsense",
    "lacks_metrics": "contract.md 1.3/provider-metrics",
    "lacks_batches": "contract.md 1.3/indexeddb-batch",
    "takes_noise_for_a_scope": "contract.md 1.3/indexeddb-scopes",
    "stumbles_over_migrations": "contract.md 1.3/indexeddb-migrations",
    "lacks_slots": "contract.md 1.3/workflow-slots",
    "takes_noise_for_a_query": "contract.md 1.3/workflow-queries",
    "lacks_timelines": "contract.md 1.3/workflow-timeline",
    "stumbles_over_events": "contract.md 1.3/workflow-events",
    "is_deaf": "contract.md 2.4/sigterm",
    "waits_until_it_is_configured": "contract.md 2.4/sigterm-early",
    "ends_with_an_error": "contract.md 2.4/sigint",
    "writes_nonsense": "packaging.md 4.3/writes-catalogue",
    "has_types_of_its_language": "packaging.md 4.3/parameters",
    "names_other_operations": "contract.md 4.5/metadata",
    "knows_every_operation": "contract.md 4.5/unknown-operation",
    "stumbles_over_what_is_missing": "contract.md 4.5/missing-parameters",
    "takes_any_type": "contract.md 4.5/mistyped-parameters",
    "minds_large_parameters": "contract.md 4.5/large-parameters",
    "executes_one_at_a_time": "contract.md 4.5/at-once",
    "has_statuses_of_its_own": "contract.md 4.5/read-only",
    "minds_tokens": "contract.md 4.5/context",
    "dies_of_operations_given_up": "contract.md 4.5/given-up",
    "offers_sessions_nonsense": "contract.md 4.5/session-catalogue",
    "announces_what_it_lacks": "contract.md 4.5/post-connect",
    "rejects_with_success": "contract.md 4.5/http-subject",
    "answers_twice": "contract.md 4.5/stream",
    "takes_noise_for_the_end": "contract.md 4.5/stream-noise",
}
"""A fault of ``faulty.py``, and the rule that it breaks."""
TRIED_HERE = (*families.RULES, *plugin.RULES)
ALL_KINDS = ["plugin", *(pytest.param(kind, marks=pytest.mark.nightly) for kind in ("workflow", "indexeddb"))]
"""Plugins have the most rules here; those of the others are a part of them."""
CONTROLS = ("contract.md 1.2/bounds", "contract.md 2.1/socket", "contract.md 2.6/metadata")
"""Rules that no fault breaks but their own; tried beside the other rule at night."""


async def tried(
    folder: Path, fault: str, *rules: str, kind: str = "workflow", patience: Patience | None = None
) -> Report:
    """Try rules, all when none is named, on the minimal provider with a fault."""
    environ = {**os.environ, "TMPDIR": str(folder)}
    command = LaunchCommand((sys.executable, str(FAULTY)), {"FAULT": fault, "KIND": kind, "PYTHONPATH": str(ROOT)})
    async with backing_store(folder, environ) as store:
        candidate = Candidate(KIND_WORDS[kind], command, "faulty", {}, store, patience or Patience())
        return await verify(candidate, rules_for(candidate.kind, rules), environ)


def ids_of(kind: str) -> set[str]:
    return {rule.id for rule in rules_for(KIND_WORDS[kind])}


def outcomes(report: Report) -> dict[str, str]:
    return {finding.rule: finding.outcome.value for finding in report.findings}


@pytest.mark.parametrize(("fault", "rule"), PLANTED.items())
async def test_a_planted_fault_is_caught_by_its_rule(tmp_path: Path, fault: str, rule: str) -> None:
    kind = next(word for word in ("indexeddb", "workflow", "plugin") if rule in ids_of(word))
    rules = {rule, *at_night(CONTROLS, otherwise=())}
    report = await tried(tmp_path, fault, *rules, kind=kind, patience=HURRIED)
    assert [finding.rule for finding in report.findings if finding.outcome is Outcome.FAILED] == [rule]
    finding = next(finding for finding in report.findings if finding.rule == rule)
    assert finding.expected
    assert finding.seen


async def test_a_provider_that_ends_while_connections_are_opened_is_caught(tmp_path: Path) -> None:
    command = LaunchCommand((sys.executable, str(FAULTY)), {"KIND": "indexeddb", "PYTHONPATH": str(ROOT)})
    subject = Subject(Candidate(KIND_WORDS["indexeddb"], command, "faulty"), os.environ, ProcessGroups(Beats()))
    try:
        await subject.launch()
        subject.child.kill()
        await subject.child.wait()
        with pytest.raises(Broken, match="a connection to its socket to be taken"):
            await subject.connect()
    finally:
        await subject.close()


async def test_a_host_that_dies_unnoticed_is_caught(tmp_path: Path) -> None:
    report = await tried(tmp_path, "is_deaf", "contract.md 2.4/parent", kind="indexeddb", patience=HURRIED)
    assert outcomes(report) == {"contract.md 2.4/parent": "failed"}


@pytest.mark.parametrize("kind", ALL_KINDS)
async def test_a_provider_without_a_fault_keeps_every_rule(tmp_path: Path, kind: str) -> None:
    rules = [rule.id for rule in rules_for(KIND_WORDS[kind]) if rule in TRIED_HERE]
    report = await tried(tmp_path, "", *rules, kind=kind)
    assert {finding.rule: finding for finding in report.findings if finding.outcome is not Outcome.PASSED} == {}
    assert [finding.rule for finding in report.findings] == rules


def test_every_rule_has_a_planted_fault() -> None:
    """A rule that no fault breaks may be one that cannot fail."""
    assert {rule.id for rule in TRIED_HERE} == {*PLANTED.values(), "contract.md 2.4/parent"}


def test_every_method_of_an_extension_is_tried_at_its_door() -> None:
    """Those that hosts serve, and the streams and checks that have rules of their own, are left out."""
    elsewhere = {"HostControl", "WorkflowDispatch", "PluginDispatch", "ProviderCheck"}
    doors = {(service, method) for service, methods in DOORS.values() for method in methods}
    found = set()
    for proto in (ROOT / "proto" / "extension" / "v1").glob("*.proto"):
        for service, body in re.findall(r"^service (\w+) \{(.*?)^\}", proto.read_text(), re.M | re.S):
            if service not in elsewhere:
                found |= {(service, method) for method in re.findall(r"^  rpc (\w+)\(", body, re.M)}
    assert doors == found


def test_every_rule_names_a_section_of_the_specification() -> None:
    for rule in {rule.id for kind in KIND_WORDS.values() for rule in rules_for(kind)}:
        match = re.fullmatch(r"([\w-]+\.md) (\d+(?:\.\d+)*)/[a-z-]+", rule)
        assert match is not None, rule
        page = (ROOT / "docs" / "spec" / match[1]).read_text()
        assert re.search(rf"^#+ {re.escape(match[2])}[. ]", page, re.M), rule


@pytest.mark.parametrize("kind", KIND_WORDS)
@pytest.mark.parametrize("fault", ["exits_at_once", "never_listens", "accepts_and_says_nothing"])
async def test_a_provider_that_answers_nothing_fails_and_says_so_once(tmp_path: Path, kind: str, fault: str) -> None:
    report = await tried(tmp_path, fault, kind=kind, patience=Patience(serve_s=2.0))
    first, *rest = report.findings
    assert (first.rule, first.outcome) == ("contract.md 2.4/serves", Outcome.FAILED)
    assert {(finding.outcome, finding.reason) for finding in rest} == {
        (Outcome.NOT_RUN, "contract.md 2.4/serves failed")
    }


async def test_a_provider_that_answers_no_call_fails_before_it_is_waited_for_again(tmp_path: Path) -> None:
    report = await tried(tmp_path, "answers_no_call", kind="indexeddb", patience=HURRIED)
    failed = [finding.rule for finding in report.findings if finding.outcome is Outcome.FAILED]
    assert failed == ["contract.md 1.3/answers"]
    assert {finding.reason for finding in report.findings} == {"", "contract.md 1.3/answers failed"}


@pytest.mark.parametrize("kind", KIND_WORDS)
async def test_a_provider_that_says_ok_to_everything_fails(tmp_path: Path, kind: str) -> None:
    broken = {
        *("contract.md 1.2/version", "contract.md 1.2/other-versions"),
        *("contract.md 2.3/unknown-method", "contract.md 2.3/undecodable"),
        *(() if kind == "plugin" else ("contract.md 1.3/kind",)),
    }
    report = await tried(tmp_path, "says_ok_to_everything", *at_night((), otherwise=broken), kind=kind)
    assert broken <= {rule for rule, outcome in outcomes(report).items() if outcome == "failed"}


async def test_a_failure_shows_what_was_exchanged_and_no_value_of_the_configuration(tmp_path: Path) -> None:
    command = LaunchCommand(
        (sys.executable, str(FAULTY)),
        {"FAULT": "answers_another_version", "KIND": "indexeddb", "PYTHONPATH": str(ROOT)},
    )
    candidate = Candidate(KIND_WORDS["indexeddb"], command, "faulty", {"password": "hunter2"})
    report = await verify(candidate, rules_for(candidate.kind, ["contract.md 1.2/version"]), os.environ)
    assert [str(frame) for frame in report.findings[0].frames] == [
        "> ProviderLifecycle.ConfigureProvider "
        '{"name": "verified", "config": {"password": "…"}, "protocol_version": 3}',
        '< ProviderLifecycle.ConfigureProvider {"protocol_version": 2}',
    ]


async def test_what_a_provider_wrote_last_is_told_of_a_failure(tmp_path: Path) -> None:
    report = await tried(tmp_path, "exits_at_once", "contract.md 2.4/serves", kind="indexeddb")
    assert "the last words of a provider" in "\n".join(report.findings[0].last_lines)
    assert "exit status 3" in report.findings[0].seen


async def test_each_launch_gets_an_empty_directory_of_its_own(tmp_path: Path) -> None:
    command = LaunchCommand((sys.executable, str(FAULTY)), {"KIND": "indexeddb", "PYTHONPATH": str(ROOT)})
    candidate = Candidate(KIND_WORDS["indexeddb"], command, "faulty", {"a": [{"b": "{dir}/x"}], "n": 1})
    groups = ProcessGroups(Beats())
    subject = Subject(candidate, os.environ, groups)
    try:
        seen = []
        for _ in range(2):
            await subject.launch()
            seen.append(subject.config["a"][0]["b"])  # type: ignore[index]
        assert len(set(seen)) == 2
        assert all(list(Path(path).parent.iterdir()) == [] for path in seen)
    finally:
        await subject.close()
    assert not subject.directory.exists()


async def held_up(subject: Subject) -> None:
    await subject.launch()
    await subject.call("gestalt.provider.v1.ProviderLifecycle", "HealthCheck", b"")
    await asyncio.Event().wait()


async def surprised(subject: Subject) -> None:
    await subject.launch()
    raise KeyError("what no rule foresees")


async def test_a_rule_that_does_not_end_fails_by_name_and_the_next_is_tried(tmp_path: Path) -> None:
    rules = [Rule("contract.md 1.3/held-up", "It waits", held_up), *rules_for(KIND_WORDS["indexeddb"], [KIND])]
    report = await verify(subject_of("indexeddb"), rules, os.environ)
    first, second = report.findings
    assert (first.rule, first.outcome) == ("contract.md 1.3/held-up", Outcome.FAILED)
    assert first.expected == "the rule to come to its end within 3 s"
    assert "> ProviderLifecycle.HealthCheck" in str(first.frames[0])
    assert (second.rule, second.outcome) == (KIND, Outcome.PASSED)


async def test_a_rule_that_meets_what_it_has_not_foreseen_fails_and_the_next_is_tried(tmp_path: Path) -> None:
    rules = [Rule("contract.md 1.3/surprised", "It raises", surprised), *rules_for(KIND_WORDS["indexeddb"], [KIND])]
    report = await verify(subject_of("indexeddb"), rules, os.environ)
    assert [finding.outcome for finding in report.findings] == [Outcome.FAILED, Outcome.PASSED]
    assert report.findings[0].seen == "KeyError: 'what no rule foresees'"


def subject_of(kind: str) -> Candidate:
    """Return the minimal provider without a fault, with three seconds for each rule."""
    command = LaunchCommand((sys.executable, str(FAULTY)), {"KIND": kind, "PYTHONPATH": str(ROOT)})
    return Candidate(KIND_WORDS[kind], command, "faulty", patience=Patience(rule_s=3.0))
