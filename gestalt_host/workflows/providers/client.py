"""The host's client of one workflow provider (contract.md 4.1): domain types outside, messages inside.

Every call has a deadline and waits for a provider that is still starting. A provider's own refusal becomes
``ProviderRefused`` with its code and text; one that cannot be reached, ``ProviderUnavailable``.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, TypeVar

import grpc

from gestalt_host.access.subjects import Actor, Cause
from gestalt_host.errors import ChangedMeanwhile, ProviderRefused, ProviderUnavailable
from gestalt_host.supervisor.errors import ProviderAway
from gestalt_host.supervisor.links import ProviderLink
from gestalt_host.workflows.model import (
    Event,
    EventMatch,
    EventTrigger,
    ExecutionReference,
    Run,
    Schedule,
    Signal,
    SignalResult,
    Target,
)
from gestalt_host.workflows.providers import convert
from gestalt_host.workflows.providers.failures import ReferenceCalls, provider_away, provider_error, wait_ready
from gestalt_host.workflows.providers.joining import Join, Object, Referenced, with_result_cut
from gestalt_host.workflows.providers.ordering import by_id_within_a_moment, merged
from gestalt_sdk.gen.extension.v1 import causes_pb2, queries_pb2, queries_pb2_grpc
from gestalt_sdk.gen.v1 import workflow_pb2 as pb
from gestalt_sdk.gen.v1 import workflow_pb2_grpc
from gestalt_sdk.transport.channels import request_metadata
from gestalt_sdk.transport.values import to_timestamp
from gestalt_sdk.workflow import convert as workflow_convert
from gestalt_sdk.workflow.targets import target_to_proto

DEADLINE_S = 30.0

YIELD_EVERY = 128

RETARGET = "workflow.retarget"
RETIRE = "workflow.retire"
REFERENCE = "workflow.reference"
QUERIES = "workflow.queries"
CAUSES = "workflow.causes"
REVISIONS = "workflow.revisions"

LOST_RACE = frozenset({"ABORTED", "NOT_FOUND"})
"""Codes of a conditional write that was not made because somebody else was faster."""

QUERY_PAGE = 1000

Message = TypeVar("Message")


class WorkflowProviderClient:
    def __init__(self, link: ProviderLink, *, deadline_s: float = DEADLINE_S) -> None:
        self.name = link.name
        self._link = link
        self._stub = workflow_pb2_grpc.WorkflowProviderStub(link.channel)
        self._queries = queries_pb2_grpc.WorkflowQueriesStub(link.channel)
        self._deadline_s = deadline_s

    def has(self, capability: str) -> bool:
        return capability in self._link.capabilities

    # Runs -------------------------------------------------------------------------------------------------------------

    async def start_run(
        self,
        target: Target,
        created_by: Actor,
        execution_ref: str,
        *,
        idempotency_key: str = "",
        workflow_key: str = "",
        cause: Cause | None = None,
    ) -> Run:
        """Start a run; ``cause``: what it goes back to, kept where the provider counts causes."""
        request = pb.StartWorkflowProviderRunRequest(
            target=target_to_proto(target),
            idempotency_key=idempotency_key,
            created_by=workflow_convert.actor_to_proto(created_by),
            execution_ref=execution_ref,
            workflow_key=workflow_key,
            cause=self._cause(cause),
        )
        return convert.run_from_proto(await self._call(self._stub.StartRun, request), self.name)

    async def get_run(self, run_id: str) -> Run:
        answer = await self._call(self._stub.GetRun, pb.GetWorkflowProviderRunRequest(run_id=run_id))
        return convert.run_from_proto(answer, self.name)

    async def runs_of(
        self, subjects: Iterable[str], *, plugin: str = "", status: str = "", result_bytes: int
    ) -> AsyncIterator[Referenced[Run]]:
        """Yield every run whose execution reference belongs to one of the subjects, newest first, revoked ones too.

        A provider with queries is asked for the subjects' runs alone, and for a page when the earlier one has been
        taken, so a list of any length needs the memory of a page. Any other gives all runs at once.

        Args:
            plugin, status: Only runs of that plugin, or in that status; blank takes all.
            result_bytes: Longer results are cut.
        """
        wanted = tuple(dict.fromkeys(subjects))
        join = Join(self.name, await self._references_by_id(wanted))
        if not join.references:
            return
        if self.has(QUERIES):
            queries = [self._query_runs(subject, plugin, status, result_bytes) for subject in wanted]
            streams = [
                by_id_within_a_moment(query, convert.place_of_run, pb.BoundWorkflowRun.ByteSize) for query in queries
            ]
        else:
            streams = [self._all_runs()]
        asked: set[str] = set()
        taken = 0
        async for message in merged(streams, convert.place_of_run):
            if plugin and message.target.plugin.plugin_name.strip() != plugin:
                continue
            if status and convert.status_from_proto(int(message.status)) != status:
                continue
            named = message.execution_ref.strip()
            unknown = named not in join.references and named not in asked
            if unknown and message.created_by.subject_id.strip() in wanted:
                # The run may have come after the references were read, and its reference with it.
                await self._add_reference(join, named, wanted)
                asked.add(named)
            item = join.item(message, convert.run_from_proto)
            if item is not None:
                yield replace(item, object=with_result_cut(item.object, result_bytes))
            taken += 1
            if taken % YIELD_EVERY == 0:
                await asyncio.sleep(0)

    async def _add_reference(self, join: Join, reference_id: str, subjects: Sequence[str]) -> None:
        """Read one reference more, if it is there and one of the subjects'."""
        request = pb.GetWorkflowExecutionReferenceRequest(id=reference_id)
        try:
            with self._reference_calls():
                found = await self._call(self._stub.GetExecutionReference, request)
        except ProviderRefused as error:
            if error.code != "NOT_FOUND":
                raise
        else:
            join.references.update(self._owned([found], subjects))

    async def _all_runs(self) -> AsyncIterator[pb.BoundWorkflowRun]:
        answer = await self._call(self._stub.ListRuns, pb.ListWorkflowProviderRunsRequest())
        for message in sorted(answer.runs, key=convert.place_of_run):
            yield message

    async def _query_runs(
        self, subject: str, plugin: str, status: str, result_bytes: int
    ) -> AsyncIterator[pb.BoundWorkflowRun]:
        """Yield the runs created by the subject, newest first, asked for by page."""
        numbers = pb.WorkflowRunStatus.values() if status else []
        statuses: list[Any] = [number for number in numbers if convert.status_from_proto(number) == status]
        if status and not statuses:
            return
        request = queries_pb2.QueryRunsRequest(page_size=QUERY_PAGE, result_bytes=result_bytes)
        request.filter.owner_subject_id, request.filter.target_owner = subject, plugin
        request.filter.statuses.extend(statuses)
        while True:
            page = await self._call(self._queries.QueryRuns, request)
            for run in page.runs:
                yield run
            if not page.next_page_token:
                return
            request.page_token = page.next_page_token

    async def _query_objects(self, query: Any, *, id_prefix: str = "", subject: str = "") -> AsyncIterator[Any]:
        """Yield the pages of the objects whose id begins with the prefix, or that the subject created."""
        request = queries_pb2.QueryObjectsRequest(page_size=QUERY_PAGE, id_prefix=id_prefix, subject_id=subject)
        while True:
            page = await self._call(query, request)
            yield page
            if not page.next_page_token:
                return
            request.page_token = page.next_page_token

    async def cancel_run(self, run_id: str, reason: str, by: Actor) -> Run:
        """End a run; ``by`` is kept in its timeline where the provider has one."""
        canceled_by = workflow_convert.actor_to_proto(by)
        request = pb.CancelWorkflowProviderRunRequest(run_id=run_id, reason=reason, canceled_by=canceled_by)
        return convert.run_from_proto(await self._call(self._stub.CancelRun, request), self.name)

    async def signal_run(self, run_id: str, signal: Signal) -> SignalResult:
        request = pb.SignalWorkflowProviderRunRequest(run_id=run_id, signal=workflow_convert.signal_to_proto(signal))
        return self._signal_result(await self._call(self._stub.SignalRun, request))

    async def signal_or_start_run(
        self,
        workflow_key: str,
        target: Target,
        signal: Signal,
        created_by: Actor,
        execution_ref: str,
        *,
        idempotency_key: str = "",
        cause: Cause | None = None,
    ) -> SignalResult:
        """Signal the run that holds the key, or start one; ``cause`` as for ``start_run``."""
        request = pb.SignalOrStartWorkflowProviderRunRequest(
            workflow_key=workflow_key,
            target=target_to_proto(target),
            idempotency_key=idempotency_key,
            created_by=workflow_convert.actor_to_proto(created_by),
            execution_ref=execution_ref,
            signal=workflow_convert.signal_to_proto(signal),
            cause=self._cause(cause),
        )
        return self._signal_result(await self._call(self._stub.SignalOrStartRun, request))

    def _signal_result(self, answer: pb.SignalWorkflowRunResponse) -> SignalResult:
        return SignalResult(
            run=convert.run_from_proto(answer.run, self.name),
            signal=workflow_convert.signal_from_proto(answer.signal),
            started_run=answer.started_run,
            workflow_key=answer.workflow_key,
        )

    # Schedules --------------------------------------------------------------------------------------------------------

    async def upsert_schedule(
        self,
        schedule_id: str,
        *,
        cron: str,
        timezone: str,
        target: Target,
        paused: bool,
        requested_by: Actor,
        execution_ref: str,
        retarget: bool = False,
        retire_execution_ref: str = "",
        created_at: datetime | None = None,
        if_revision: int = 0,
        if_absent: bool = False,
    ) -> Schedule:
        request = pb.UpsertWorkflowProviderScheduleRequest(
            schedule_id=schedule_id,
            cron=cron,
            timezone=timezone,
            target=target_to_proto(target),
            paused=paused,
            requested_by=workflow_convert.actor_to_proto(requested_by),
            execution_ref=execution_ref,
            retarget=retarget,
            retire_execution_ref=retire_execution_ref,
            created_at=None if created_at is None else to_timestamp(created_at),
            if_revision=self._offered(if_revision),
            if_absent=if_absent and self.has(REVISIONS),
        )
        return self._schedule(await self._change(self._stub.UpsertSchedule, request))

    async def get_schedule(self, schedule_id: str) -> Schedule:
        request = pb.GetWorkflowProviderScheduleRequest(schedule_id=schedule_id)
        return self._schedule(await self._call(self._stub.GetSchedule, request))

    async def schedules_named(self, id_prefix: str) -> list[Schedule]:
        """Return the schedules whose id begins with the prefix; a provider without queries is asked for all."""
        if self.has(QUERIES):
            pages = self._query_objects(self._queries.QuerySchedules, id_prefix=id_prefix)
            found = [item async for page in pages for item in page.schedules]
        else:
            answer = await self._call(self._stub.ListSchedules, pb.ListWorkflowProviderSchedulesRequest())
            found = list(answer.schedules)
        return [self._schedule(item) for item in found if item.id.startswith(id_prefix)]

    async def schedules_of(self, subjects: Iterable[str]) -> list[Referenced[Schedule]]:
        """Return every schedule whose active execution reference belongs to one of the subjects.

        A provider with queries is asked for theirs alone, by page: those of others may be more than a message carries.
        """
        wanted = tuple(dict.fromkeys(subjects))

        async def fetch() -> Iterable[Any]:
            if self.has(QUERIES):
                queries = [self._query_objects(self._queries.QuerySchedules, subject=subject) for subject in wanted]
                return [item for pages in queries async for page in pages for item in page.schedules]
            request = pb.ListWorkflowProviderSchedulesRequest()
            return (await self._call(self._stub.ListSchedules, request)).schedules

        return await self._objects_of(fetch, wanted, self._schedule)

    async def delete_schedule(self, schedule_id: str, *, retire_execution_ref: str = "", if_revision: int = 0) -> None:
        request = pb.DeleteWorkflowProviderScheduleRequest(
            schedule_id=schedule_id,
            retire_execution_ref=retire_execution_ref,
            if_revision=self._offered(if_revision),
        )
        await self._change(self._stub.DeleteSchedule, request)

    async def pause_schedule(self, schedule_id: str, *, if_revision: int = 0) -> Schedule:
        request = pb.PauseWorkflowProviderScheduleRequest(
            schedule_id=schedule_id, if_revision=self._offered(if_revision)
        )
        return self._schedule(await self._change(self._stub.PauseSchedule, request))

    async def resume_schedule(self, schedule_id: str, *, if_revision: int = 0) -> Schedule:
        request = pb.ResumeWorkflowProviderScheduleRequest(
            schedule_id=schedule_id, if_revision=self._offered(if_revision)
        )
        return self._schedule(await self._change(self._stub.ResumeSchedule, request))

    # Event triggers ---------------------------------------------------------------------------------------------------

    async def upsert_trigger(
        self,
        trigger_id: str,
        *,
        match: EventMatch,
        target: Target,
        paused: bool,
        requested_by: Actor,
        execution_ref: str,
        retarget: bool = False,
        retire_execution_ref: str = "",
        created_at: datetime | None = None,
        if_revision: int = 0,
        if_absent: bool = False,
    ) -> EventTrigger:
        request = pb.UpsertWorkflowProviderEventTriggerRequest(
            trigger_id=trigger_id,
            match=workflow_convert.match_to_proto(match),
            target=target_to_proto(target),
            paused=paused,
            requested_by=workflow_convert.actor_to_proto(requested_by),
            execution_ref=execution_ref,
            retarget=retarget,
            retire_execution_ref=retire_execution_ref,
            created_at=None if created_at is None else to_timestamp(created_at),
            if_revision=self._offered(if_revision),
            if_absent=if_absent and self.has(REVISIONS),
        )
        return self._trigger(await self._change(self._stub.UpsertEventTrigger, request))

    async def get_trigger(self, trigger_id: str) -> EventTrigger:
        request = pb.GetWorkflowProviderEventTriggerRequest(trigger_id=trigger_id)
        return self._trigger(await self._call(self._stub.GetEventTrigger, request))

    async def triggers_named(self, id_prefix: str) -> list[EventTrigger]:
        """Return the triggers whose id begins with the prefix; a provider without queries is asked for all."""
        if self.has(QUERIES):
            pages = self._query_objects(self._queries.QueryEventTriggers, id_prefix=id_prefix)
            found = [item async for page in pages for item in page.triggers]
        else:
            answer = await self._call(self._stub.ListEventTriggers, pb.ListWorkflowProviderEventTriggersRequest())
            found = list(answer.triggers)
        return [self._trigger(item) for item in found if item.id.startswith(id_prefix)]

    async def triggers_of(self, subjects: Iterable[str]) -> list[Referenced[EventTrigger]]:
        """Return every event trigger whose active execution reference belongs to one of the subjects.

        A provider with queries is asked for theirs alone, by page: those of others may be more than a message carries.
        """
        wanted = tuple(dict.fromkeys(subjects))

        async def fetch() -> Iterable[Any]:
            if self.has(QUERIES):
                queries = [self._query_objects(self._queries.QueryEventTriggers, subject=subject) for subject in wanted]
                return [item for pages in queries async for page in pages for item in page.triggers]
            request = pb.ListWorkflowProviderEventTriggersRequest()
            return (await self._call(self._stub.ListEventTriggers, request)).triggers

        return await self._objects_of(fetch, wanted, self._trigger)

    async def delete_trigger(self, trigger_id: str, *, retire_execution_ref: str = "", if_revision: int = 0) -> None:
        request = pb.DeleteWorkflowProviderEventTriggerRequest(
            trigger_id=trigger_id,
            retire_execution_ref=retire_execution_ref,
            if_revision=self._offered(if_revision),
        )
        await self._change(self._stub.DeleteEventTrigger, request)

    async def pause_trigger(self, trigger_id: str, *, if_revision: int = 0) -> EventTrigger:
        request = pb.PauseWorkflowProviderEventTriggerRequest(
            trigger_id=trigger_id, if_revision=self._offered(if_revision)
        )
        return self._trigger(await self._change(self._stub.PauseEventTrigger, request))

    async def resume_trigger(self, trigger_id: str, *, if_revision: int = 0) -> EventTrigger:
        request = pb.ResumeWorkflowProviderEventTriggerRequest(
            trigger_id=trigger_id, if_revision=self._offered(if_revision)
        )
        return self._trigger(await self._change(self._stub.ResumeEventTrigger, request))

    # Revisions --------------------------------------------------------------------------------------------------------

    async def _change(self, method: Any, request: Any) -> Any:
        """Make a call that writes.

        Raises:
            ChangedMeanwhile: it named what it was decided on, and that is so no longer. Nothing was written.
        """
        try:
            return await self._call(method, request)
        except ProviderRefused as error:
            if error.code in LOST_RACE and (request.if_revision or getattr(request, "if_absent", False)):
                raise ChangedMeanwhile(error.code, str(error)) from error
            raise

    def _offered(self, revision: int) -> int:
        """Return the revision for a provider that has revisions, 0 (none) for any other."""
        return revision if self.has(REVISIONS) else 0

    def _schedule(self, message: pb.BoundWorkflowSchedule, provider: str = "") -> Schedule:
        schedule = workflow_convert.schedule_from_proto(message, provider or self.name)
        return schedule if self.has(REVISIONS) else replace(schedule, revision=0)

    def _trigger(self, message: pb.BoundWorkflowEventTrigger, provider: str = "") -> EventTrigger:
        trigger = workflow_convert.trigger_from_proto(message, provider or self.name)
        return trigger if self.has(REVISIONS) else replace(trigger, revision=0)

    # Events and execution references ----------------------------------------------------------------------------------

    async def publish_event(self, event: Event, published_by: Actor, cause: Cause | None = None) -> None:
        """Publish the event; ``cause`` as for ``start_run``."""
        request = pb.PublishWorkflowProviderEventRequest(
            event=workflow_convert.event_to_proto(event),
            published_by=workflow_convert.actor_to_proto(published_by),
            cause=self._cause(cause),
        )
        await self._call(self._stub.PublishEvent, request)

    async def put_execution_reference(self, reference: ExecutionReference) -> ExecutionReference:
        request = pb.PutWorkflowExecutionReferenceRequest(reference=convert.reference_to_proto(reference))
        with self._reference_calls():
            answer = await self._call(self._stub.PutExecutionReference, request)
        return convert.reference_from_proto(answer)

    async def get_execution_reference(self, reference_id: str, *, wait: bool = True) -> ExecutionReference:
        """Fetch the reference; ``wait=False`` while the provider itself is waiting for our answer."""
        request = pb.GetWorkflowExecutionReferenceRequest(id=reference_id)
        with self._reference_calls():
            answer = await self._call(self._stub.GetExecutionReference, request, wait=wait)
        return convert.reference_from_proto(answer)

    async def references_of(self, subject_id: str) -> list[ExecutionReference]:
        return [convert.reference_from_proto(item) for item in await self._list_references(subject_id)]

    async def _list_references(self, subject_id: str) -> Iterable[pb.WorkflowExecutionReference]:
        if subject_id and self.has(QUERIES):
            query = self._queries.QueryExecutionReferences
            return [item async for page in self._query_objects(query, subject=subject_id) for item in page.references]
        request = pb.ListWorkflowExecutionReferencesRequest(subject_id=subject_id)
        with self._reference_calls():
            return (await self._call(self._stub.ListExecutionReferences, request)).references

    # ------------------------------------------------------------------------------------------------------------------

    async def _objects_of(
        self, fetch: Callable[[], Awaitable[Iterable[Any]]], subjects: Iterable[str], read: Callable[[Any, str], Object]
    ) -> list[Referenced[Object]]:
        """Return the subjects' objects as they were at the moment when ``fetch`` read them.

        An object counts when its reference was active at that moment. References are therefore read first: one that
        was active then still was when an object named it, because it ends with the object's next change at the
        earliest. One that was not there yet was made for that object meanwhile; it is read afterwards, and counts even
        if a further change has ended it by now.

        When the list of objects fails and the subjects have no active reference here, the answer is empty.
        """
        wanted = tuple(dict.fromkeys(subjects))
        known = await self._references_by_id(wanted)
        join = Join(self.name, {key: item for key, item in known.items() if not convert.has_ended(item)})
        try:
            messages = list(await fetch())
        except (ProviderRefused, ProviderUnavailable):
            if join.references:
                raise
            return []
        named = (item.execution_ref.strip() for item in messages if item.created_by.subject_id.strip() in wanted)
        made = {reference_id for reference_id in named if reference_id not in known}
        if made:
            later = await self._references_by_id(wanted)
            join.references.update((key, item) for key, item in later.items() if key in made)
        found_objects = []
        for message in messages:
            item = join.item(message, read)
            if item is None:
                continue
            found_objects.append(item)
            if len(found_objects) % YIELD_EVERY == 0:
                # Let runs be executed between the parts of a long list.
                await asyncio.sleep(0)
        return found_objects

    async def _references_by_id(self, subjects: Sequence[str]) -> dict[str, pb.WorkflowExecutionReference]:
        """Return the subjects' references in this provider by id: one call for each subject, at the same time."""
        answers = await asyncio.gather(*map(self._list_references, subjects))
        return {
            reference_id: item
            for subject, answer in zip(subjects, answers, strict=True)
            for reference_id, item in self._owned(answer, (subject,)).items()
        }

    def _owned(
        self, references: Iterable[pb.WorkflowExecutionReference], subjects: Sequence[str]
    ) -> dict[str, pb.WorkflowExecutionReference]:
        found = {}
        for item in references:
            if item.provider_name.strip() in ("", self.name) and item.subject_id.strip() in subjects:
                found[item.id.strip()] = item
        return found

    async def _call(self, method: Any, request: Any, *, wait: bool = True) -> Any:
        if wait:
            await wait_ready("workflow", self._link, self._deadline_s)
        try:
            call = method(request, timeout=self._deadline_s, metadata=request_metadata())
            return await self._link.calls.answer(call)
        except ProviderAway as error:
            raise provider_away("workflow", self.name, error) from error
        except grpc.aio.AioRpcError as error:
            raise provider_error("workflow", self.name, error) from error

    def _cause(self, cause: Cause | None) -> causes_pb2.Cause | None:
        return None if cause is None or not self.has(CAUSES) else convert.cause_to_proto(cause)

    def _reference_calls(self) -> ReferenceCalls:
        return ReferenceCalls(self.name)
