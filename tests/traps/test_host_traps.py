"""Traps of the host: manager, executor and reconciliation over real sockets, providers and plugin in this process.

The last tests run our provider and store as processes of their own.
"""

from __future__ import annotations

from typing import Any

import pytest
import structlog.testing
from grpc import StatusCode as Code

from gestalt_host.errors import WorkflowObjectNotFound
from gestalt_host.workflows.model import PluginTarget, ScheduleSpec, Signal
from gestalt_sdk.gen.v1 import workflow_pb2 as pb
from tests.unit.host.access import test_invocation_tokens
from tests.unit.host.http import conftest as http_conftest
from tests.unit.host.workflows import (
    conftest,
    test_agents,
    test_manager,
    test_real_processes,
    test_reconcile,
    test_references,
)
from tests.unit.host.workflows.conftest import ANN, Rig
from tests.unit.host.workflows.test_execution import request, stored
from tests.unit.host.workflows.test_real_processes import System

rig, things, system = conftest.rig, test_manager.things, test_real_processes.system
agent_link, agent, turns = test_agents.agent_link, test_agents.agent, test_agents.turns
clock, tokens = test_invocation_tokens.clock, test_invocation_tokens.tokens
host, api = http_conftest.host, http_conftest.api


async def test_trap_02_connection_and_instance_reach_the_plugin_as_they_were_stored(rig: Rig) -> None:
    pinned = PluginTarget("roadmap", "sync", "alerts", "second one", "", {"n": 1})
    schedule = await rig.manager.schedules.create(ANN, ScheduleSpec("0 3 * * *", pinned))
    assert (schedule.target.connection, schedule.target.instance) == ("alerts", "second one")  # type: ignore[union-attr]
    reference = rig.local.references[schedule.execution_ref]
    assert reference.target == rig.local.schedules[schedule.id].target
    await rig.workflow_host.InvokeOperation(request(reference))
    assert len(rig.plugin.requests) == 1


async def test_trap_24_references_work_through_every_wrapper_around_a_provider(system: System) -> None:
    """The manager reaches the real provider through the supervisor's link, as in the daemon."""
    made = await system.manager.schedules.create(ANN, ScheduleSpec("0 3 * * *", PluginTarget("roadmap", "sync")))
    assert await system.manager.schedules.get(ANN, made.id) == made
    run = await system.manager.runs.start(ANN, PluginTarget("roadmap", "sync"))
    assert (await system.finished(ANN, run.id)).status == "succeeded"


async def test_trap_27_what_the_caller_is_not_told_is_in_the_log(host: Any, api: Any) -> None:
    host.manager.state.failure = ValueError("the secret reason")
    with structlog.testing.capture_logs() as logged:
        answer = await api.get("/api/v1/workflow/schedules")
    assert answer.status_code == 500
    assert "secret" not in answer.text
    (line,) = [line for line in logged if line.get("event_name") == "http.failed"]
    assert line["exc_info"]


async def test_trap_28_a_plugin_is_called_without_a_deadline(rig: Rig) -> None:
    await rig.workflow_host.InvokeOperation(request(await stored(rig)))
    assert rig.plugin.deadlines == [None]


async def test_trap_30_a_run_executes_as_its_reference_says_whatever_actor_is_named(rig: Rig) -> None:
    reference = await stored(rig)
    forged = request(reference)
    forged.created_by.CopyFrom(
        pb.WorkflowActor(subject_id="system:config", subject_kind="system", auth_source="config")
    )
    await rig.workflow_host.InvokeOperation(forged)
    subject = rig.plugin.requests[0].context.subject
    assert (subject.id, subject.kind) == ("user:ann", "user")


async def test_trap_e_a_reference_left_behind_makes_no_object_unmanageable(rig: Rig, things: Any) -> None:
    """A crash between the upsert and the end of the old reference leaves two active ones for one object."""
    made = await things.create(ANN, things.request())
    (reference,) = rig.local.references.values()
    left = pb.WorkflowExecutionReference()
    left.CopyFrom(reference)
    left.id = reference.id.rpartition(":")[0] + ":left-behind"
    rig.local.references[left.id] = left
    assert (await things.get(ANN, made.id)).id == made.id
    assert [item.id for item in await things.list(ANN)] == [made.id]
    assert (await things.update(ANN, made.id, things.request())).id == made.id
    await things.delete(ANN, made.id)
    with pytest.raises(WorkflowObjectNotFound):
        await things.get(ANN, made.id)


async def test_trap_25_a_batch_that_runs_keeps_its_authorization_when_more_signals_come(rig: Rig) -> None:
    result = await rig.manager.runs.signal_or_start(ANN, "k", PluginTarget("roadmap", "sync"), Signal(name="a"))
    reference = pb.WorkflowExecutionReference()
    reference.CopyFrom(rig.local.references[result.run.execution_ref])
    for number in range(3):
        target = PluginTarget("roadmap", "sync")
        await rig.manager.runs.signal_or_start(ANN, "k", target, Signal(name=f"b{number}"))
    assert list(rig.local.references.values()) == [reference]
    await rig.workflow_host.InvokeOperation(request(reference))


async def test_trap_23_the_hosts_start_needs_no_list_of_references(rig: Rig) -> None:
    from tests.unit.host.workflows.test_reconcile import reconcile

    await reconcile(rig)
    for name in ("ListExecutionReferences", "ListSchedules", "ListEventTriggers"):
        rig.local.failures[name] = (Code.UNAVAILABLE, "the store is down")
    await reconcile(rig)
    assert len(rig.local.schedules) == 1


# Run by tests that stand elsewhere

test_trap_k_an_empty_permission_set_survives_its_token = test_invocation_tokens.test_an_empty_ceiling_stays_empty
test_trap_29_session_and_turn_have_idempotency_keys = test_agents.test_a_turn_that_is_finished_at_once_is_not_polled
test_trap_19_a_turn_that_never_ends_is_canceled = test_agents.test_a_turn_that_never_ends_is_canceled
test_trap_29_another_batch_finds_the_session_again = test_agents.test_another_session_of_the_same_run_is_found_again
test_trap_l_a_repeated_create_with_a_blank_zone_agrees_with_itself = test_manager.test_a_blank_time_zone_repeats_as_utc
test_trap_27_the_providers_refusal_reaches_the_caller = test_manager.test_bad_cron_comes_back_in_the_providers_words
test_trap_20_a_list_is_not_one_call_an_object = (
    test_manager.test_reading_is_two_calls_and_listing_is_two_calls_however_long
)
test_trap_20_a_list_of_runs_is_two_calls = test_manager.test_runs_newest_first_filtered_and_joined_in_two_calls
test_trap_25_signals_share_one_immutable_reference = test_manager.test_signal_or_start_reuses_one_reference
test_trap_m_a_signal_answered_not_found_was_not_stored = test_manager.test_signals_reach_only_the_callers_active_runs
test_trap_d_update_and_delete_spare_the_runs_that_exist = (
    test_real_processes.test_runs_of_an_object_that_was_replaced_or_deleted_still_execute
)
test_trap_c_a_start_that_changes_nothing_upserts_nothing = (
    test_reconcile.test_a_start_that_changes_nothing_writes_nothing
)
test_trap_26_reconciliation_adopts_nothing_of_others = (
    test_reconcile.test_an_id_that_somebody_else_holds_stops_the_start
)
test_trap_23_an_outage_of_reference_writes_stops_no_start = (
    test_reconcile.test_an_unchanged_object_survives_an_outage_of_reference_writes
)
test_trap_23_cleaning_up_is_best_effort = test_reconcile.test_cleaning_up_is_best_effort
test_trap_g_cleaning_up_spares_what_plugins_made_as_the_configuration = (
    test_reconcile.test_what_others_made_is_never_touched
)
test_trap_k_an_empty_permission_set_survives_its_reference = (
    test_references.test_an_empty_ceiling_never_becomes_unrestricted
)
test_trap_k_an_agent_target_without_tools_is_not_unrestricted = (
    test_references.test_permissions_of_agent_targets_name_the_provider
)
