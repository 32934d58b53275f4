"""A workflow provider on the public Python SDK, as small as one can be that keeps to the contract.

It keeps every message as bytes in its IndexedDB, under one lock: what it has answered is there after a kill. The SDK's
own adapter leaves the execution references out, so the service is registered here, with all its calls.
"""

import hashlib
import logging
import threading
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import gestalt
import grpc
from croniter import croniter
from gestalt import _runtime
from gestalt._gen.v1 import runtime_pb2_grpc, workflow_pb2_grpc
from gestalt._gen.v1 import workflow_pb2 as pb
from google.protobuf import empty_pb2, timestamp_pb2

INTERRUPTED = "workflow provider restarted while run was in progress"
KINDS = {
    "schedules": pb.BoundWorkflowSchedule,
    "triggers": pb.BoundWorkflowEventTrigger,
    "runs": pb.BoundWorkflowRun,
    "references": pb.WorkflowExecutionReference,
    "signals": pb.SignalWorkflowRunResponse,
}
ENDED = (pb.WORKFLOW_RUN_STATUS_SUCCEEDED, pb.WORKFLOW_RUN_STATUS_FAILED, pb.WORKFLOW_RUN_STATUS_CANCELED)
Code = grpc.StatusCode


class PlainWorkflows(
    workflow_pb2_grpc.WorkflowProviderServicer,
    gestalt.WorkflowProvider,
    gestalt.MetadataProvider,
    gestalt.WarningsProvider,
    gestalt.Closer,
):
    def __init__(self) -> None:
        self.stopped = threading.Event()
        self.workers = ThreadPoolExecutor(4)

    def configure(self, name: str, config: dict[str, Any]) -> None:
        self.name = name
        self.speed = float(config.get("speed", 1))
        self.began = time.time()
        self.lock = threading.RLock()
        self.database = gestalt.IndexedDB()
        for kind in (*KINDS, "keys"):
            self.database.create_object_store(kind, gestalt.ObjectStoreSchema(indexes=[]))

    def metadata(self) -> gestalt.ProviderMetadata:
        return gestalt.ProviderMetadata(gestalt.ProviderKind.WORKFLOW, "plain", "Plain workflows", version="0.1.0")

    def warnings(self) -> list[str]:
        return ["keeps no history of slots"]

    def start(self) -> None:
        with self.lock:
            for run in self.all("runs"):
                if run.status == pb.WORKFLOW_RUN_STATUS_RUNNING:
                    self.end(run, pb.WORKFLOW_RUN_STATUS_FAILED, INTERRUPTED)
                elif run.status == pb.WORKFLOW_RUN_STATUS_PENDING:
                    self.workers.submit(self.execute, run.id)
        threading.Thread(target=self.fire_until_stopped, daemon=True).start()

    def close(self) -> None:
        self.stopped.set()
        self.workers.shutdown(wait=False)

    # What is kept

    def now(self) -> datetime:
        """The time of this provider's own clock, which may be faster than that of the world."""
        return datetime.fromtimestamp(self.began + (time.time() - self.began) * self.speed, UTC)

    def stamp(self, moment: datetime | None = None) -> timestamp_pb2.Timestamp:
        stamp = timestamp_pb2.Timestamp()
        stamp.FromDatetime(moment or self.now())
        return stamp

    def put(self, kind: str, message: Any, key: str = "") -> Any:
        record = {"id": key or message.id, "message": message.SerializeToString()}
        self.database.object_store(kind).put(record)
        return message

    def find(self, kind: str, key: str) -> Any:
        try:
            record = self.database.object_store(kind).get(key)
        except gestalt.NotFoundError:
            return None
        return KINDS[kind].FromString(record["message"])

    def all(self, kind: str) -> list[Any]:
        found = [KINDS[kind].FromString(record["message"]) for record in self.database.object_store(kind).get_all()]
        return sorted(found, key=lambda item: (item.created_at.ToNanoseconds(), item.id))

    def key(self, *parts: str, value: str = "") -> str:
        """Return what is kept under the parts; keep the value there, where one is given."""
        keys, key = self.database.object_store("keys"), "\0".join(parts)
        if value:
            keys.put({"id": key, "value": value})
            return value
        try:
            return keys.get(key)["value"]
        except gestalt.NotFoundError:
            return ""

    # Runs

    def add_run(
        self, run_id: str, target: Any, execution_ref: str, created_by: Any, trigger: Any, key: str = ""
    ) -> Any:
        run = pb.BoundWorkflowRun(
            id=run_id,
            status=pb.WORKFLOW_RUN_STATUS_PENDING,
            target=target,
            trigger=trigger,
            created_at=self.stamp(),
            created_by=created_by,
            execution_ref=execution_ref,
            workflow_key=key,
        )
        self.put("runs", run)
        self.workers.submit(self.execute, run_id)
        return run

    def execute(self, run_id: str) -> None:
        with self.lock:
            run = self.find("runs", run_id)
            if self.stopped.is_set() or run.status != pb.WORKFLOW_RUN_STATUS_PENDING:
                return
            run.status = pb.WORKFLOW_RUN_STATUS_RUNNING
            run.started_at.CopyFrom(self.stamp())
            self.put("runs", run)
            signals = self.signals_of(run_id)
        request = gestalt.InvokeWorkflowOperationRequest(
            target=run.target,
            run_id=run.id,
            trigger=run.trigger,
            created_by=run.created_by,
            execution_ref=run.execution_ref,
            signals=signals[:25],
        )
        status, message, body = pb.WORKFLOW_RUN_STATUS_SUCCEEDED, "", ""
        try:
            with gestalt.WorkflowHost() as host:
                answer = host.invoke_operation(request)
        except grpc.RpcError as error:
            status, message = pb.WORKFLOW_RUN_STATUS_FAILED, f"rpc error: {error.code().name}: {error.details()}"
        else:
            body = answer.body
            if answer.status >= 400:
                status, message = pb.WORKFLOW_RUN_STATUS_FAILED, f"workflow operation returned status {answer.status}"
        with self.lock:
            run = self.find("runs", run_id)
            if run.status == pb.WORKFLOW_RUN_STATUS_RUNNING:
                run.result_body = body
                self.end(run, status, message)

    def end(self, run: Any, status: Any, message: str) -> Any:
        run.status, run.status_message = status, message
        run.completed_at.CopyFrom(self.stamp())
        return self.put("runs", run)

    def signals_of(self, run_id: str) -> list[Any]:
        kept = (answer for answer in self.every_signal() if answer.run.id == run_id)
        return sorted((answer.signal for answer in kept), key=lambda signal: signal.sequence)

    def every_signal(self) -> list[Any]:
        records = self.database.object_store("signals").get_all()
        return [pb.SignalWorkflowRunResponse.FromString(record["message"]) for record in records]

    # Firing

    def fire_until_stopped(self) -> None:
        while not self.stopped.wait(0.1):
            try:
                self.fire_due()
            except grpc.RpcError as error:  # the store is being started again
                logging.warning("nothing can be fired: %s", error.details())

    def fire_due(self) -> None:
        with self.lock:
            now = self.now()
            for schedule in self.all("schedules"):
                if not schedule.paused and schedule.next_run_at.ToDatetime(UTC) <= now:
                    self.fire(schedule, now)

    def fire(self, schedule: Any, now: datetime) -> None:
        slot = schedule.next_run_at.ToDatetime(UTC)
        while (following := next_slot(schedule, slot)) <= now:
            slot = following
        run_id = f"schedule:{schedule.id}:{slot:%Y-%m-%dT%H:%M:%SZ}"
        if self.find("runs", run_id) is None:
            fired = pb.WorkflowScheduleTrigger(schedule_id=schedule.id, scheduled_for=self.stamp(slot))
            trigger = pb.WorkflowRunTrigger(schedule=fired)
            self.add_run(run_id, schedule.target, schedule.execution_ref, schedule.created_by, trigger)
        schedule.next_run_at.CopyFrom(self.stamp(following))
        self.put("schedules", schedule)

    def found(self, kind: str, key: str, context: Any) -> Any:
        item = self.find(kind, key)
        return item if item is not None else context.abort(Code.NOT_FOUND, f"{kind[:-1]} {key!r} not found")

    # The calls: runs

    def StartRun(self, request: Any, context: Any) -> Any:
        scope = (owner_of(request.target), request.created_by.subject_id)
        with self.lock:
            if request.idempotency_key and (known := self.key("start", *scope, request.idempotency_key)):
                return self.find("runs", known)
            if request.workflow_key and self.active(scope, request.workflow_key) is not None:
                context.abort(
                    Code.FAILED_PRECONDITION, f"workflow key {request.workflow_key!r} already has an active run"
                )
            run_id = str(uuid.uuid4())
            if request.idempotency_key:
                run_id = f"manual:{uuid.uuid4().hex}"
                self.key("start", *scope, request.idempotency_key, value=run_id)
            return self.started(run_id, request, scope)

    def started(self, run_id: str, request: Any, scope: tuple[str, str]) -> Any:
        if request.workflow_key:
            self.key("key", *scope, request.workflow_key, value=run_id)
        trigger = pb.WorkflowRunTrigger(manual=pb.WorkflowManualTrigger())
        return self.add_run(
            run_id, request.target, request.execution_ref, request.created_by, trigger, request.workflow_key
        )

    def active(self, scope: tuple[str, str], workflow_key: str) -> Any:
        run = self.find("runs", self.key("key", *scope, workflow_key) or "none")
        return None if run is None or run.status in ENDED else run

    def GetRun(self, request: Any, context: Any) -> Any:
        return self.found("runs", request.run_id, context)

    def ListRuns(self, request: Any, context: Any) -> Any:
        return pb.ListWorkflowProviderRunsResponse(runs=self.all("runs"))

    def CancelRun(self, request: Any, context: Any) -> Any:
        with self.lock:
            run = self.found("runs", request.run_id, context)
            if run.status in ENDED:
                context.abort(Code.FAILED_PRECONDITION, "only pending and running runs can be canceled")
            return self.end(run, pb.WORKFLOW_RUN_STATUS_CANCELED, request.reason or "canceled")

    def SignalRun(self, request: Any, context: Any) -> Any:
        with self.lock:
            run = self.found("runs", request.run_id, context)
            if run.status in ENDED or not run.workflow_key:
                context.abort(Code.FAILED_PRECONDITION, f"run {run.id!r} takes no signals")
            return self.signalled(run, request.signal, started=False)

    def SignalOrStartRun(self, request: Any, context: Any) -> Any:
        scope = (owner_of(request.target), request.created_by.subject_id)
        with self.lock:
            run = self.active(scope, request.workflow_key)
            started = run is None
            if started:
                run = self.started(str(uuid.uuid4()), request, scope)
            return self.signalled(run, request.signal, started=started)

    def signalled(self, run: Any, signal: Any, *, started: bool) -> Any:
        for known in self.every_signal():
            same_key = signal.idempotency_key and known.signal.idempotency_key == signal.idempotency_key
            if known.run.id == run.id and (same_key or known.signal.id == signal.id):
                return known
        stored = pb.WorkflowSignal()
        stored.CopyFrom(signal)
        stored.id = signal.id or str(uuid.uuid4())
        stored.sequence = signal.sequence or len(self.signals_of(run.id)) + 1
        answer = pb.SignalWorkflowRunResponse(
            run=run, signal=stored, started_run=started, workflow_key=run.workflow_key
        )
        return self.put("signals", answer, key=f"{run.id}\0{stored.id}")

    # The calls: schedules and triggers

    def UpsertSchedule(self, request: Any, context: Any) -> Any:
        with self.lock:
            made = pb.BoundWorkflowSchedule(cron=request.cron, timezone=request.timezone or "UTC")
            try:
                if len(request.cron.split()) != 5:
                    raise ValueError("five fields are needed")
                following = next_slot(made, self.now())
            except (ValueError, KeyError) as error:  # croniter's errors are ValueErrors, those of zones KeyErrors
                context.abort(Code.INVALID_ARGUMENT, f"cron {request.cron!r} in {made.timezone!r}: {error}")
            made.next_run_at.CopyFrom(self.stamp(following))
            return self.upserted("schedules", request.schedule_id, made, request, context)

    def UpsertEventTrigger(self, request: Any, context: Any) -> Any:
        if not request.match.type:
            context.abort(Code.INVALID_ARGUMENT, "match.type is required")
        with self.lock:
            made = pb.BoundWorkflowEventTrigger(match=request.match)
            return self.upserted("triggers", request.trigger_id, made, request, context)

    def upserted(self, kind: str, key: str, made: Any, request: Any, context: Any) -> Any:
        made.id = key or str(uuid.uuid4())
        made.target.CopyFrom(request.target)
        made.paused, made.execution_ref = request.paused, request.execution_ref
        made.updated_at.CopyFrom(self.stamp())
        made.created_at.CopyFrom(made.updated_at)
        made.created_by.CopyFrom(request.requested_by)
        if (old := self.find(kind, made.id)) is not None:
            if owner_of(old.target) != owner_of(made.target):
                context.abort(Code.ALREADY_EXISTS, f"{kind[:-1]} {made.id!r} belongs to {owner_of(old.target)!r}")
            made.created_at.CopyFrom(old.created_at)
            if request.requested_by.subject_id != "system:config":
                made.created_by.CopyFrom(old.created_by)
        return self.put(kind, made)

    def paused(self, kind: str, key: str, context: Any, *, paused: bool) -> Any:
        with self.lock:
            item = self.found(kind, key, context)
            if kind == "schedules" and item.paused and not paused:
                item.next_run_at.CopyFrom(self.stamp(next_slot(item, self.now())))
            item.paused = paused
            item.updated_at.CopyFrom(self.stamp())
            return self.put(kind, item)

    def deleted(self, kind: str, key: str, context: Any) -> Any:
        with self.lock:
            self.found(kind, key, context)
            self.database.object_store(kind).delete(key)
        return empty_pb2.Empty()

    def GetSchedule(self, request: Any, context: Any) -> Any:
        return self.found("schedules", request.schedule_id, context)

    def ListSchedules(self, request: Any, context: Any) -> Any:
        return pb.ListWorkflowProviderSchedulesResponse(schedules=self.all("schedules"))

    def DeleteSchedule(self, request: Any, context: Any) -> Any:
        return self.deleted("schedules", request.schedule_id, context)

    def PauseSchedule(self, request: Any, context: Any) -> Any:
        return self.paused("schedules", request.schedule_id, context, paused=True)

    def ResumeSchedule(self, request: Any, context: Any) -> Any:
        return self.paused("schedules", request.schedule_id, context, paused=False)

    def GetEventTrigger(self, request: Any, context: Any) -> Any:
        return self.found("triggers", request.trigger_id, context)

    def ListEventTriggers(self, request: Any, context: Any) -> Any:
        return pb.ListWorkflowProviderEventTriggersResponse(triggers=self.all("triggers"))

    def DeleteEventTrigger(self, request: Any, context: Any) -> Any:
        return self.deleted("triggers", request.trigger_id, context)

    def PauseEventTrigger(self, request: Any, context: Any) -> Any:
        return self.paused("triggers", request.trigger_id, context, paused=True)

    def ResumeEventTrigger(self, request: Any, context: Any) -> Any:
        return self.paused("triggers", request.trigger_id, context, paused=False)

    # The calls: events and references

    def PublishEvent(self, request: Any, context: Any) -> Any:
        event = request.event
        if not event.type:
            context.abort(Code.INVALID_ARGUMENT, "event.type is required")
        event.id, event.spec_version = event.id or str(uuid.uuid4()), event.spec_version or "1.0"
        if not event.HasField("time"):
            event.time.CopyFrom(self.stamp())
        with self.lock:
            for trigger in self.all("triggers"):
                if trigger.paused or (request.plugin_name and owner_of(trigger.target) != request.plugin_name):
                    continue
                if matches(trigger.match, event):
                    self.triggered(trigger, event)
        return empty_pb2.Empty()

    def triggered(self, trigger: Any, event: Any) -> None:
        digest = hashlib.sha256("\0".join([trigger.id, event.source, event.id]).encode()).hexdigest()
        run_id = f"event:{digest[:32]}"
        if self.find("runs", run_id) is None:
            cause = pb.WorkflowRunTrigger(event=pb.WorkflowEventTriggerInvocation(trigger_id=trigger.id, event=event))
            self.add_run(run_id, trigger.target, trigger.execution_ref, trigger.created_by, cause)

    def PutExecutionReference(self, request: Any, context: Any) -> Any:
        with self.lock:
            reference = request.reference
            reference.provider_name = reference.provider_name or self.name
            old = self.find("references", reference.id)
            if old is not None:
                reference.created_at.CopyFrom(old.created_at)
            elif not reference.HasField("created_at"):
                reference.created_at.CopyFrom(self.stamp())
            return self.put("references", reference)

    def GetExecutionReference(self, request: Any, context: Any) -> Any:
        return self.found("references", request.id, context)

    def ListExecutionReferences(self, request: Any, context: Any) -> Any:
        kept = self.all("references")
        wanted = [item for item in kept if request.subject_id in ("", item.subject_id)]
        return pb.ListWorkflowExecutionReferencesResponse(references=wanted)


def next_slot(schedule: Any, after: datetime) -> datetime:
    zone = ZoneInfo(schedule.timezone or "UTC")
    following: datetime = croniter(schedule.cron, after.astimezone(zone)).get_next(datetime)
    return following.astimezone(UTC)


def owner_of(target: Any) -> str:
    return target.plugin.plugin_name or f"agent:{target.agent.provider_name}"


def matches(match: Any, event: Any) -> bool:
    return match.type == event.type and all(
        wanted in ("", given) for wanted, given in ((match.source, event.source), (match.subject, event.subject))
    )


def register(server: grpc.Server, provider: Any) -> None:
    lifecycle = _runtime._runtime_servicer(provider=provider, kind=gestalt.ProviderKind.WORKFLOW)
    runtime_pb2_grpc.add_ProviderLifecycleServicer_to_server(lifecycle, server)
    workflow_pb2_grpc.add_WorkflowProviderServicer_to_server(provider, server)


adapter = gestalt.PluginProviderAdapter(gestalt.ProviderKind.WORKFLOW, PlainWorkflows(), register)
"""The whole service."""
plain = PlainWorkflows()
"""What the SDK's own adapter makes of the provider: execution references are left out."""
