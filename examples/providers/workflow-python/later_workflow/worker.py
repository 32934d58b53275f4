"""What a started provider does by itself: fire what is due, invoke what waits, keep its claims, end what was lost."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta

import structlog

from gestalt_sdk.common import Backoff, Beat, Beats, keep_running
from gestalt_sdk.gen.v1 import workflow_pb2 as pb
from gestalt_sdk.indexeddb import IndexedDBError, KeyRange
from gestalt_sdk.transport import CallFailed
from gestalt_sdk.workflow import WorkflowHostClient
from later_workflow import objects, runs
from later_workflow.storage import Storage, now

SWEEP_S = 60.0
MOST_DUE = 100
WORDS = {"CANCELLED": "Canceled", "OK": "OK"}

log = structlog.get_logger()


@dataclass(frozen=True)
class Settings:
    """How often, how much at once, and how long others wait for this process."""

    poll: timedelta = timedelta(seconds=1)
    workers: int = 4
    lease: timedelta = timedelta(minutes=10)
    renewal: timedelta = timedelta(minutes=10) / 3


class Worker:
    """The loops of one process."""

    def __init__(self, storage: Storage, host: WorkflowHostClient, beats: Beats) -> None:
        self.settings = Settings()
        self._storage = storage
        self._host = host
        self._claimant = runs.Claimant()
        self._active = asyncio.Event()
        self._stopping = False
        self._claiming = asyncio.Lock()
        self._invocations: dict[str, tuple[runs.Claim, asyncio.Task[None]]] = {}
        loops = {"schedules": self._fire, "runs": self._dispatch, "claims": self._renew, "lost claims": self._recover}
        self._loops = [
            asyncio.create_task(keep_running(name, loop, beats, may_end=lambda: self._stopping))
            for name, loop in loops.items()
        ]

    def resume(self) -> None:
        """Fire and claim from now on."""
        self._active.set()

    def pause(self, settings: Settings) -> None:
        """Fire and claim no more until ``resume``, which is with these settings; what is being invoked goes on."""
        self._active.clear()
        self.settings = settings

    def give_up(self, run_id: str) -> None:
        """Cancel the invocation of a run that is no longer this process's own."""
        if run_id in self._invocations:
            _, task = self._invocations[run_id]
            task.cancel()

    async def drain(self, grace_s: float) -> None:
        """Claim no more, and wait until what is being invoked has ended; what has not ends as lost."""
        self._stopping = True
        self._active.set()
        self._storage.runs_wait.set()
        self._storage.schedules_changed.set()
        async with self._claiming:
            invocations = list(self._invocations.values())
        if invocations:
            await asyncio.wait([task for _, task in invocations], timeout=grace_s)
        for loop in self._loops:
            loop.cancel()
        for claim, task in invocations:
            if not task.done():
                task.cancel()
                try:
                    await runs.complete(self._storage, claim, 0, "", runs.INTERRUPTED)
                except IndexedDBError:  # the others end all the same
                    log.exception("run is left to others to end", event_name="run.left", run=claim.run.id)
        await asyncio.gather(*self._loops, *(task for _, task in invocations), return_exceptions=True)
        await self._host.close()

    # Schedules

    async def _fire(self, beat: Beat) -> None:
        while not await self._ends(beat):
            self._storage.schedules_changed.clear()
            due = await self._storage.first("schedules", "due", MOST_DUE, KeyRange(upper=now()))
            for record in due:
                beat.beat()
                try:
                    await objects.fire(self._storage, record["id"])
                except IndexedDBError:
                    raise
                except Exception:  # the others fire all the same
                    log.exception("schedule does not fire", event_name="schedule.failed", schedule=record["id"])
            if len(due) < MOST_DUE:
                await self._pause(self._storage.schedules_changed, await self._until_due(), beat)

    async def _until_due(self) -> float:
        first = await self._storage.first("schedules", "due", 1, KeyRange(lower=now(), lower_open=True))
        longest = self.settings.poll.total_seconds()
        return min([longest, *((record["due_at"] - now()).total_seconds() for record in first)])

    # Runs

    async def _dispatch(self, beat: Beat) -> None:
        while not await self._ends(beat):
            self._storage.runs_wait.clear()
            if free := max(self.settings.workers - len(self._invocations), 0):
                async with self._claiming:
                    claims = await runs.claim(self._storage, self._claimant, self.settings.lease, free)
                    for claim in claims:
                        self._invocations[claim.run.id] = claim, asyncio.create_task(self._execute(claim))
                if claims:
                    continue
            await self._pause(self._storage.runs_wait, self.settings.poll.total_seconds(), beat)

    async def _execute(self, claim: runs.Claim) -> None:
        request = pb.InvokeWorkflowOperationRequest(
            target=claim.run.target,
            run_id=claim.run.id,
            trigger=claim.run.trigger,
            execution_ref=claim.run.execution_ref,
            signals=claim.signals,
        )
        if claim.run.HasField("created_by"):
            request.created_by.CopyFrom(claim.run.created_by)
        try:
            try:
                answer = await self._host.invoke(request)
                status, body, error = answer.status, answer.body, ""
            except CallFailed as failed:
                status, body, error = 0, "", f"rpc error: code = {_word(failed.code)} desc = {failed}"
            except Exception as failed:  # it may have been invoked, so it ends here and is not put back
                log.exception("invocation failed", event_name="run.failed", run=claim.run.id)
                status, body, error = 0, "", f"rpc error: code = Unknown desc = {failed}"
            await self._record(claim, status, body, error)
        finally:
            if (held := self._invocations.get(claim.run.id)) and held[0] is claim:  # else it is invoked anew
                del self._invocations[claim.run.id]
            self._storage.runs_wait.set()

    async def _record(self, claim: runs.Claim, status: int, body: str, error: str) -> None:
        """Record the outcome, however long the store is away: it cannot be had again."""
        backoff = Backoff(first_s=0.05, limit_s=5)
        while True:
            try:
                return await runs.complete(self._storage, claim, status, body, error)
            except IndexedDBError as failed:
                log.warning("outcome is not recorded yet", event_name="run.unrecorded", error=str(failed))
            await backoff.wait()

    # Claims

    async def _renew(self, beat: Beat) -> None:
        while not self._stopping or self._invocations:
            beat.rest()
            await asyncio.sleep(self.settings.renewal.total_seconds())
            beat.beat()
            async with self._claiming:
                held = await runs.renew(self._storage, self._claimant, self.settings.lease)
                for run_id in self._invocations.keys() - held:
                    self.give_up(run_id)
                for run_id in held - self._invocations.keys():
                    await runs.put_back(self._storage, self._claimant, run_id)

    async def _recover(self, beat: Beat) -> None:
        while not await self._ends(beat):
            await runs.recover(self._storage, self._claimant)
            self._storage.runs_wait.set()
            beat.rest()
            await asyncio.sleep(SWEEP_S)

    # Waiting

    async def _ends(self, beat: Beat) -> bool:
        if not self._active.is_set():
            beat.rest()
            await self._active.wait()
        beat.beat()
        return self._stopping

    async def _pause(self, event: asyncio.Event, longest_s: float, beat: Beat) -> None:
        beat.rest()
        with suppress(TimeoutError):
            await asyncio.wait_for(event.wait(), max(longest_s, 0.001))


def _word(code: str) -> str:
    """Return a code as people know it from other languages: PermissionDenied."""
    return WORDS.get(code) or "".join(part.capitalize() for part in code.split("_"))
